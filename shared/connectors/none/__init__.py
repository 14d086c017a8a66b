"""None: kept for what the 2017 API knew, and without a system behind it."""
