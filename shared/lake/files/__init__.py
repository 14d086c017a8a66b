"""Data files: written, read and measured range by range."""
