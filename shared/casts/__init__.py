"""Text becomes a value; the one place that decides whether a row is good."""
