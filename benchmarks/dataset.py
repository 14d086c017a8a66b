"""The seeded data of the benchmarks: customers with quoted commas, line ends in cells, quotes, arrays and times."""

from pathlib import Path
from typing import Any

import duckdb

COLUMNS = (
    "customer_id",
    "city",
    "email",
    "signed_up_at",
    "birth_date",
    "points",
    "spend",
    "is_member",
    "tags",
    "note",
    "street",
    "segment",
)
FIELDS: list[dict[str, Any]] = [
    {"fieldName": "customer_id", "fieldType": "Edm.String"},
    {"fieldName": "city", "fieldType": "Edm.String"},
    {"fieldName": "email", "fieldType": "Edm.String"},
    {"fieldName": "signed_up_at", "fieldType": "Edm.DateTimeOffset"},
    {"fieldName": "birth_date", "fieldType": "Edm.Date"},
    {"fieldName": "points", "fieldType": "Edm.Int64"},
    {"fieldName": "spend", "fieldType": "Edm.Double"},
    {"fieldName": "is_member", "fieldType": "Edm.Boolean"},
    {"fieldName": "tags", "fieldType": "Edm.String", "isArray": True},
    {"fieldName": "note", "fieldType": "Edm.String"},
    {"fieldName": "street", "fieldType": "Edm.String"},
    {"fieldName": "segment", "fieldType": "Edm.String"},
]

# One row is about 150 bytes. Everything is a function of the row's number, so every run sees the same file.
_ROWS = """
SELECT printf('C%%010d', i) AS customer_id,
       CASE WHEN i %% 7 = 0 THEN 'Paris, ' || (i %% 20) || 'e' ELSE 'Utrecht' END AS city,
       'customer' || i || '@example.com' AS email,
       strftime(TIMESTAMP '2020-01-01' + INTERVAL (hash(i) %% 150000000) SECOND, '%%Y-%%m-%%dT%%H:%%M:%%SZ')
           AS signed_up_at,
       strftime(DATE '1950-01-01' + (hash(i + 1) %% 20000)::INTEGER, '%%Y-%%m-%%d') AS birth_date,
       (hash(i + 2) %% 100000)::VARCHAR AS points,
       printf('%%.2f', (hash(i + 3) %% 10000000) / 100.0) AS spend,
       CASE WHEN i %% 3 = 0 THEN 'true' ELSE 'false' END AS is_member,
       ['', 'news', 'news;events', 'news;events;offers'][(i %% 4 + 1)::INTEGER] AS tags,
       CASE WHEN i %% 5 = 0 THEN 'said "yes"' || chr(10) || 'twice' ELSE 'note ' || i END AS note,
       'Example Street ' || (hash(i + 4) %% 100000) AS street,
       'segment ' || (i %% 12) AS segment
FROM range(%d) numbers(i)
"""


def write_csv(path: Path, rows: int) -> int:
    """Writes `rows` rows as RFC 4180 CSV with header; returns the size in bytes."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute(f"COPY ({_ROWS % rows} ORDER BY customer_id) TO '{path}' (HEADER, DELIMITER ',')")
    return path.stat().st_size
