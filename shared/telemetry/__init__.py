"""What operators see: log lines, spans and metrics; facts, no content."""
