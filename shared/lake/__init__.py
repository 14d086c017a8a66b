"""The Delta tables of the hub: the one place of deltalake and duckdb, with `ingest/type_rows.py` and `kpis`."""
