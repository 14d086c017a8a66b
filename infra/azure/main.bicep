// Phase 1 of the deployment: everything but the event subscription, which Event Grid accepts only once the
// function that it names exists (subscription.bicep, after the code is published). README.md has the commands.
targetScope = 'resourceGroup'

@description('Start of every name: a lower-case letter, then lower-case letters and digits. A hash of the resource group follows it.')
@minLength(2)
@maxLength(8)
param name string = 'connhub'

@description('Azure region; it must offer Flex Consumption: `az functionapp list-flexconsumption-locations`.')
param location string = resourceGroup().location

@description('Tags of every resource.')
param tags object = {}

@description('Redundancy of the storage accounts that are created here. Standard_LRS where the region has no zones.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GZRS'
  'Standard_RAGZRS'
])
param storageSku string = 'Standard_ZRS'

@description('Account into which the source CSVs are uploaded. Empty: one is created, with the container `inbox`.')
param landingStorageAccountName string = ''

@description('Resource group of the landing account, in this subscription; read only where an account is named.')
param landingResourceGroup string = resourceGroup().name

@description('Whether mappings may move or delete blobs once ingested (`completeOperation`); without it the app only reads.')
param allowCompleteOperations bool = false

@description('Object id of a person or group that stores secrets, uploads to the created landing account and reads dead letters. Empty: nobody.')
param operatorPrincipalId string = ''

@description('What `operatorPrincipalId` is.')
@allowed([
  'Group'
  'ServicePrincipal'
  'User'
])
param operatorPrincipalType string = 'Group'

@description('Address that the alerts are sent to. Empty: alerts show in the portal only.')
param alertEmail string = ''

@description('Further vaults whose secrets connectors may name, such as https://partner.vault.azure.net.')
param allowedKeyVaults array = []

@description('Memory of an instance, in MB.')
@allowed([
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Most instances that the app may scale out to.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are never scaled in, such as [{ name: \'http\', instanceCount: 1 }].')
param alwaysReady array = []

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('NCRONTAB schedule of export_profiles.')
param profileExportSchedule string = '0 */15 * * * *'

@description('NCRONTAB schedule of export_kpis.')
param kpiExportSchedule string = '0 0 0 * * *'

@description('NCRONTAB schedule of delete_expired_exports.')
param exportCleanupSchedule string = '0 30 0 * * *'

@description('NCRONTAB schedule of reconcile_blobs. More than an hour apart: change the alert `reconcile_blobs-silent`.')
param reconcileSchedule string = '0 7/15 * * * *'

@description('NCRONTAB schedule of maintain_tables.')
param maintenanceSchedule string = '0 45 1 * * *'

@description('Exports whose slot is older than this many days are deleted.')
@minValue(1)
param exportRetentionDays int = 21

@description('A CSV cell over this many bytes rejects its row.')
@minValue(1024)
param maxFieldBytes int = 4194304

@description('A CSV row over this many bytes is rejected.')
@minValue(1024)
param maxRowBytes int = 16777216

@description('A CSV file with more columns fails its run.')
@minValue(1)
param maxColumns int = 4096

@description('A blob of more bytes, packed or unpacked, fails its run.')
@minValue(1)
param maxBlobBytes int = 10737418240

@description('A gzip blob that unpacks to more than this many times its size fails its run.')
@minValue(2)
param maxGzipRatio int = 500

@description('A run with more rejects fails, whatever its mapping accepts; nothing is ingested.')
@minValue(1)
param maxRejectsPerRun int = 1000000

@description('A blob that takes longer to read and type fails its run, or is tried again where it was held up. Stay below functionTimeout in host.json.')
@minValue(1)
param maxReadMinutes int = 25

@description('Corrected rows over this many bytes are refused; post them in pieces.')
@minValue(1024)
param maxCorrectionBytes int = 16777216

@description('Memory that the query engine may use before it spills to disk, in MB.')
@minValue(64)
param engineMemoryMB int = 256

@description('Threads of the query engine.')
@minValue(1)
param engineThreads int = 2

@description('Where spans and metrics are sent by OTLP over HTTP, such as https://collector.example.com:4318. Empty: none are made.')
param otlpEndpoint string = ''

@description('Headers that this endpoint asks for, such as api-key=KEY, separated by commas.')
@secure()
param otlpHeaders string = ''

@description('Functions that an instance runs at the same time: for both queues batchSize + newBatchThreshold of host.json, and some for events and timers.')
@minValue(1)
param functionThreads int = 32

var suffix = uniqueString(resourceGroup().id)
var hubAccountName = '${name}hub${suffix}'
var createsLanding = empty(landingStorageAccountName)
var landingName = createsLanding ? '${name}in${suffix}' : landingStorageAccountName
var landingGroup = createsLanding ? resourceGroup().name : landingResourceGroup

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-app-${suffix}'
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    workspaceName: '${name}-logs-${suffix}'
    componentName: '${name}-insights-${suffix}'
    actionGroupName: '${name}-operators-${suffix}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    alertEmail: alertEmail
    appPrincipalId: identity.properties.principalId
  }
}

module hubStorage 'modules/hub-storage.bicep' = {
  name: 'hub-storage'
  params: {
    accountName: hubAccountName
    location: location
    tags: tags
    skuName: storageSku
    appPrincipalId: identity.properties.principalId
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
  }
}

module landingStorage 'modules/landing-storage.bicep' = if (createsLanding) {
  name: 'landing-storage'
  params: {
    accountName: landingName
    location: location
    tags: tags
    skuName: storageSku
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
  }
}

module landingAccess 'modules/landing-access.bicep' = {
  name: 'landing-access-${suffix}'
  scope: resourceGroup(landingGroup)
  params: {
    accountName: landingName
    appPrincipalId: identity.properties.principalId
    mayWrite: allowCompleteOperations
  }
  dependsOn: [
    landingStorage
  ]
}

module vault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  params: {
    vaultName: '${name}kv${suffix}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: identity.properties.principalId
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  params: {
    appName: '${name}-${suffix}'
    planName: '${name}-plan-${suffix}'
    location: location
    tags: tags
    identityId: identity.id
    deploymentContainerUrl: hubStorage.outputs.deploymentContainerUrl
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReady: alwaysReady
    appSettings: {
      AzureWebJobsStorage__accountName: hubAccountName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      HUB_STORAGE__blobServiceUri: hubStorage.outputs.blobServiceUri
      HUB_STORAGE__queueServiceUri: hubStorage.outputs.queueServiceUri
      HUB_STORAGE__tableServiceUri: hubStorage.outputs.tableServiceUri
      HUB_STORAGE__credential: 'managedidentity'
      HUB_STORAGE__clientId: identity.properties.clientId
      KEY_VAULT_URL: vault.outputs.url
      ALLOWED_KEY_VAULTS: join(allowedKeyVaults, ',')
      PROFILE_EXPORT_SCHEDULE: profileExportSchedule
      KPI_EXPORT_SCHEDULE: kpiExportSchedule
      EXPORT_CLEANUP_SCHEDULE: exportCleanupSchedule
      RECONCILE_SCHEDULE: reconcileSchedule
      MAINTENANCE_SCHEDULE: maintenanceSchedule
      EXPORT_RETENTION_DAYS: string(exportRetentionDays)
      MAX_FIELD_BYTES: string(maxFieldBytes)
      MAX_ROW_BYTES: string(maxRowBytes)
      MAX_COLUMNS: string(maxColumns)
      MAX_BLOB_BYTES: string(maxBlobBytes)
      MAX_GZIP_RATIO: string(maxGzipRatio)
      MAX_REJECTS_PER_RUN: string(maxRejectsPerRun)
      MAX_READ_MINUTES: string(maxReadMinutes)
      MAX_CORRECTION_BYTES: string(maxCorrectionBytes)
      ENGINE_MEMORY_MB: string(engineMemoryMB)
      ENGINE_THREADS: string(engineThreads)
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
      OTEL_EXPORTER_OTLP_HEADERS: otlpHeaders
      PYTHON_THREADPOOL_THREAD_COUNT: string(functionThreads)
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      // The component takes no key: telemetry is sent with the app's identity.
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    }
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    namePrefix: name
    location: location
    tags: tags
    componentId: monitoring.outputs.componentId
    actionGroupId: monitoring.outputs.actionGroupId
  }
}

output functionAppName string = functionApp.outputs.appName
output functionAppUrl string = functionApp.outputs.url
output hubStorageAccountName string = hubStorage.outputs.accountName
output landingStorageAccountName string = landingName
output landingResourceGroup string = landingGroup
output keyVaultName string = vault.outputs.vaultName
output keyVaultUrl string = vault.outputs.url
output appPrincipalId string = identity.properties.principalId
output workspaceName string = monitoring.outputs.workspaceName
output componentName string = monitoring.outputs.componentName
output actionGroupName string = monitoring.outputs.actionGroupName
