"""What there is to ingest: events, sweeps, reconciliation, pauses and progress."""
