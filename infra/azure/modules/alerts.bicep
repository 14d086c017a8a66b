// Alerts on what the app logs; docs/runbook.md says for each what it means and what to do.

param namePrefix string
param location string
param tags object
param componentId string
param actionGroupId string

var rules = [
  {
    name: 'failed-runs'
    description: 'A run ended Failed: a blob was refused, or an export did not reach its destination.'
    severity: 2
    window: 'PT15M'
    frequency: 'PT5M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
traces
| where message startswith "run finished "
| extend run = parse_json(substring(message, strlen("run finished ")))
| where tostring(run.state) == "Failed"
'''
  }
  {
    name: 'poison-messages'
    description: 'A message failed five times and was given up.'
    severity: 1
    window: 'PT15M'
    frequency: 'PT5M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
requests
| where name in ("ingest_blob_poison", "run_export_poison")
'''
  }
  {
    name: 'unannounced-blobs'
    description: 'A sweep by the schedule found blobs that no event had announced.'
    severity: 2
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
traces
| where message startswith "sweep queued "
'''
  }
  {
    name: 'sweep-failed'
    description: 'A source could not be listed: blobs in it that no event announced stay unseen.'
    severity: 2
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
traces
| where message startswith "sweep failed: " or message startswith "sweep refused: "
'''
  }
  {
    name: 'reconcile_blobs-silent'
    description: 'No sweep has succeeded for an hour, so the oldest unseen blob may be older than that.'
    severity: 1
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'LessThan'
    threshold: 1
    query: '''
requests
| where name == "reconcile_blobs" and success == true
'''
  }
  {
    name: 'export_profiles-silent'
    description: 'No profile export has been planned for an hour.'
    severity: 1
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'LessThan'
    threshold: 1
    query: '''
requests
| where name == "export_profiles" and success == true
'''
  }
  {
    name: 'failing-functions'
    description: 'Functions raise again and again: storage, the vault or the network does not answer.'
    severity: 2
    window: 'PT15M'
    frequency: 'PT5M'
    operator: 'GreaterThan'
    threshold: 10
    query: '''
requests
| where success == false and name !in ("hubs", "service")
'''
  }
  {
    name: 'http-errors'
    description: 'The HTTP API answers with 5xx.'
    severity: 2
    window: 'PT15M'
    frequency: 'PT5M'
    operator: 'GreaterThan'
    threshold: 5
    query: '''
requests
| where name in ("hubs", "service") and toint(resultCode) >= 500
'''
  }
  {
    name: 'maintenance-failed'
    description: 'A table was not compacted; its reads and commits become slower from day to day.'
    severity: 3
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
traces
| where message startswith "maintenance failed: "
'''
  }
  {
    name: 'malformed-events'
    description: 'Events came that can never be understood; they are kept in the table badevents.'
    severity: 3
    window: 'PT1H'
    frequency: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
traces
| where message startswith "malformed event recorded: "
'''
  }
]

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${namePrefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${namePrefix}: ${rule.name}'
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [
        componentId
      ]
      windowSize: rule.window
      evaluationFrequency: rule.frequency
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          actionGroupId
        ]
      }
    }
  }
]
