"""The life of a blob version; `ingest_blob.py` tells the story."""
