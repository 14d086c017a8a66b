// What the app may do in a landing account, which may stand in another resource group.

param accountName string
param appPrincipalId string
param mayWrite bool

var blobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
// Moving or deleting an ingested blob is the only reason to write here.
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var role = mayWrite ? blobDataContributor : blobDataReader

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: accountName
}

resource appAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, appPrincipalId, role)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}
