"""The settings of the process, read once from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(?:/\S*)?$")]
_Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://(?:127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}/?$")]


class Settings(BaseSettings):
    """Every setting that the code reads; `docs/configuration.md` is generated from here."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    azure_functions_environment: str = Field(
        "Production",
        description="`Development` (set by Core Tools and `make up`) allows `DEVELOPMENT_ENDPOINTS` and `CLOCK_FILE`.",
    )
    hub_storage: SecretStr | None = Field(
        None,
        description="Connection string of the hub's storage account; in Azure set `HUB_STORAGE__*` instead.",
    )
    hub_storage__blob_service_uri: str | None = Field(
        None,
        alias="HUB_STORAGE__blobServiceUri",
        description="Blob endpoint of the hub's storage account, reached by identity.",
    )
    hub_storage__queue_service_uri: str | None = Field(
        None,
        alias="HUB_STORAGE__queueServiceUri",
        description="Queue endpoint of the hub's storage account, reached by identity.",
    )
    hub_storage__table_service_uri: str | None = Field(
        None,
        alias="HUB_STORAGE__tableServiceUri",
        description="Table endpoint of the hub's storage account, reached by identity.",
    )
    hub_storage__client_id: str | None = Field(
        None,
        alias="HUB_STORAGE__clientId",
        description="Client id of the user-assigned identity; without it the default chain decides.",
    )
    key_vault_url: str = Field(
        "", description="Vault that keeps the secrets of connectors, such as `https://NAME.vault.azure.net`."
    )
    allowed_key_vaults: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further vaults that `connectionKeyVaultUrl` may name, separated by commas."
    )
    development_endpoints: Annotated[tuple[_Endpoint, ...], NoDecode] = Field(
        (),
        description="Development only: the endpoints on loopback that are called, of storage accounts that connectors "
        "name and of vaults, such as `http://127.0.0.1:10000`, separated by commas. Elsewhere none is.",
    )
    clock_file: Path | None = Field(
        None, description="Development only: a file whose ISO time is the app's present time while it exists."
    )
    profile_export_schedule: str = Field("0 */15 * * * *", description="NCRONTAB schedule of `export_profiles`.")
    kpi_export_schedule: str = Field("0 0 0 * * *", description="NCRONTAB schedule of `export_kpis`.")
    export_cleanup_schedule: str = Field("0 30 0 * * *", description="NCRONTAB schedule of `delete_expired_exports`.")
    reconcile_schedule: str = Field("0 7/15 * * * *", description="NCRONTAB schedule of `reconcile_blobs`.")
    maintenance_schedule: str = Field("0 45 1 * * *", description="NCRONTAB schedule of `maintain_tables`.")
    export_retention_days: int = Field(
        21, ge=1, description="Exports whose slot is older than this many days are deleted."
    )
    max_field_bytes: int = Field(4 * 1024**2, ge=1024, description="A CSV cell over this many bytes rejects its row.")
    max_row_bytes: int = Field(
        16 * 1024**2,
        ge=1024,
        description="A CSV row over this many bytes is rejected, as text or in memory once it is typed, where each "
        "value has 16 beside its text and each item of an array 64.",
    )
    max_columns: int = Field(4096, ge=1, description="A CSV file with more columns fails its run.")
    max_blob_bytes: int = Field(
        10 * 1024**3, ge=1024, description="A blob of more bytes, packed or unpacked, fails its run."
    )
    max_gzip_ratio: int = Field(
        500, ge=2, description="A gzip blob that unpacks to more than this many times its size fails its run."
    )
    max_rejects_per_run: int = Field(
        1_000_000, ge=1, description="A run with more rejects fails, whatever its mapping accepts; nothing is ingested."
    )
    max_read_minutes: int = Field(
        25,
        ge=1,
        description="A blob that takes longer to read and type fails its run, or is tried again where it was held up "
        "most of the time. Stay below `functionTimeout` in `host.json`, with minutes left to commit.",
    )
    max_correction_bytes: int = Field(
        16 * 1024**2, ge=1024, description="Corrected rows over this many bytes are refused; post them in pieces."
    )
    engine_memory_mb: int = Field(
        256, ge=64, description="Memory that the query engine may use before it spills to disk, in MB."
    )
    engine_threads: int = Field(2, ge=1, description="Threads of the query engine.")
    otel_exporter_otlp_endpoint: _Url | None = Field(
        None,
        description="Where spans and metrics are sent by OTLP over HTTP (protobuf), such as "
        "`https://collector.example.com:4318`; without it none are made.",
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers that the endpoint asks for, such as `api-key=KEY`, separated by commas."
    )

    @field_validator("allowed_key_vaults", "development_endpoints", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value

    @property
    def is_development(self) -> bool:
        """Whether the app runs on a developer's machine."""
        return self.azure_functions_environment.casefold() == "development"

    @property
    def storage_connection_string(self) -> str | None:
        """The hub's connection string; None where identity is used."""
        return None if self.hub_storage is None else self.hub_storage.get_secret_value()


def read_settings() -> Settings:
    """Reads the environment; raises pydantic.ValidationError naming every setting that is wrong."""
    return Settings()
