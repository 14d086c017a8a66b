"""Blobs, tables, queues, Key Vault and Event Grid: the only place that uses the `azure.*` clients."""
