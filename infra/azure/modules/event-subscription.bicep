// Which events of a landing account go to the function, and what becomes of those that cannot be delivered.

param topicName string
param subscriptionName string
param functionAppId string
param deadLetterAccountId string
param blobSuffixes array

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource blobCreated 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: subscriptionName
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    // Not WebHook: that needs the app's system key in the address, and a wrong function name in it is found out only
    // by events that vanish. Here Event Grid looks the function up, refuses one that does not exist, and keeps the
    // key itself.
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/blob_created'
        // A batch is delivered again as a whole if one of its events fails.
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    filter: {
      includedEventTypes: [
        'Microsoft.Storage.BlobCreated'
      ]
      advancedFilters: [
        {
          // Only calls that commit content: CreateFile and SftpCreate announce a blob that is still empty.
          operatorType: 'StringIn'
          key: 'data.api'
          values: [
            'CopyBlob'
            'FlushWithClose'
            'PutBlob'
            'PutBlockList'
            'SftpCommit'
          ]
        }
        {
          operatorType: 'StringEndsWith'
          key: 'subject'
          values: blobSuffixes
        }
      ]
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: deadLetterAccountId
          blobContainerName: 'deadletter'
        }
      }
    }
  }
}

output subscriptionId string = blobCreated.id
