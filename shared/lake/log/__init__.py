"""The Delta logs: snapshots, commits and what they say."""
