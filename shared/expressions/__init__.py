"""OData expressions as SQL conditions."""
