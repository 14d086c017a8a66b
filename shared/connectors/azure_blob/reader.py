"""The rows of a blob that an AzureBlob connector reads: CSV, as the mapping's format says."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.domain.csv_dialect import CsvLimits
from shared.domain.documents.mappings import Mapping
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.csv.read_csv import CsvReader
    from shared.csv.reading_time import ReadingTime


def read_rows(
    chunks: Iterable[bytes],
    mapping: Mapping,
    settings: Settings,
    *,
    gzipped: bool,
    time: "ReadingTime | None" = None,
    most_bytes: int | None = None,
) -> "CsvReader":
    """The CSV reader over the bytes of a file of this mapping."""
    from shared.csv.read_csv import read_csv

    properties = mapping.mapping_properties
    dialect = properties.format.dialect(has_header=properties.has_header)
    return read_csv(chunks, dialect, limits_of(settings), gzipped=gzipped, time=time, most_bytes=most_bytes)


def limits_of(settings: Settings) -> CsvLimits:
    """The sizes that reject a row or refuse a file."""
    return CsvLimits(
        max_field_bytes=settings.max_field_bytes,
        max_row_bytes=settings.max_row_bytes,
        max_columns=settings.max_columns,
        max_blob_bytes=settings.max_blob_bytes,
        max_gzip_ratio=settings.max_gzip_ratio,
        max_seconds=60 * settings.max_read_minutes,
    )
