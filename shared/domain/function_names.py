"""Names of the functions: the event subscription, the alerts and the documents must name the very same."""

BLOB_CREATED = "blob_created"
INGEST_BLOB = "ingest_blob"
INGEST_BLOB_POISON = "ingest_blob_poison"
EXPORT_PROFILES = "export_profiles"
EXPORT_KPIS = "export_kpis"
RUN_EXPORT = "run_export"
RUN_EXPORT_POISON = "run_export_poison"
DELETE_EXPIRED_EXPORTS = "delete_expired_exports"
RECONCILE_BLOBS = "reconcile_blobs"
MAINTAIN_TABLES = "maintain_tables"
HTTP_HUBS = "hubs"
HTTP_SERVICE = "service"

FUNCTIONS = frozenset(
    {
        BLOB_CREATED,
        INGEST_BLOB,
        INGEST_BLOB_POISON,
        EXPORT_PROFILES,
        EXPORT_KPIS,
        RUN_EXPORT,
        RUN_EXPORT_POISON,
        DELETE_EXPIRED_EXPORTS,
        RECONCILE_BLOBS,
        MAINTAIN_TABLES,
        HTTP_HUBS,
        HTTP_SERVICE,
    }
)
