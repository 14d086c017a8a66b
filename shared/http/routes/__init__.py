"""Routes, one file per area."""
