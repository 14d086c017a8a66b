"""The Delta tables of the hub: the one place of deltalake."""
