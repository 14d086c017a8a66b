"""Which containers and paths belong to whom."""
