"""DuckDB: a workspace for one operation, statements over batches, and the text of SQL."""
