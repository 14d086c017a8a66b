// Phase 2 of the deployment: events of the landing account reach the function. Deploy it after the code is
// published; README.md has the commands. Deploy it once per landing account.
targetScope = 'resourceGroup'

@description('Output functionAppName of main.bicep.')
param functionAppName string

@description('Output hubStorageAccountName of main.bicep; its container `deadletter` takes what could not be delivered.')
param hubStorageAccountName string

@description('Output workspaceName of main.bicep.')
param workspaceName string

@description('Output actionGroupName of main.bicep.')
param actionGroupName string

@description('Account whose blobs are announced.')
param landingStorageAccountName string

@description('Resource group of the landing account, in this subscription.')
param landingResourceGroup string = resourceGroup().name

@description('Region of the landing account; a system topic must be where its source is.')
param landingLocation string = resourceGroup().location

@description('The topic of the landing account. Azure allows one per account: name the one that is there, if any.')
param systemTopicName string = '${landingStorageAccountName}-events'

@description('Ends of the names of the blobs that are announced, in any case. Others are found by the sweep only. Event Grid allows 25 filter values, five of which are taken.')
@minLength(1)
@maxLength(20)
param blobSuffixes array = [
  '.csv'
  '.csv.gz'
]

@description('Tags of every resource.')
param tags object = {}

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName
}

resource hubAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hubStorageAccountName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  name: actionGroupName
}

module topic 'modules/event-topic.bicep' = {
  name: 'event-topic-${landingStorageAccountName}'
  scope: resourceGroup(landingResourceGroup)
  params: {
    topicName: systemTopicName
    accountName: landingStorageAccountName
    location: landingLocation
    tags: tags
    workspaceId: workspace.id
    actionGroupId: actionGroup.id
  }
}

module deadLetterAccess 'modules/dead-letter-access.bicep' = {
  name: 'dead-letter-access-${landingStorageAccountName}'
  params: {
    accountName: hubStorageAccountName
    topicPrincipalId: topic.outputs.principalId
  }
}

module subscription 'modules/event-subscription.bicep' = {
  name: 'event-subscription-${landingStorageAccountName}'
  scope: resourceGroup(landingResourceGroup)
  params: {
    topicName: topic.outputs.topicName
    subscriptionName: functionAppName
    functionAppId: app.id
    deadLetterAccountId: hubAccount.id
    blobSuffixes: blobSuffixes
  }
  dependsOn: [
    deadLetterAccess
  ]
}

output eventSubscriptionId string = subscription.outputs.subscriptionId
