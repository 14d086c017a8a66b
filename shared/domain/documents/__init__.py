"""Documents that users send or that runs leave behind, as pydantic models."""
