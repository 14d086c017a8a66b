"""What a hub has: types, KPIs, connectors and mappings, kept in Table Storage; their secrets in Key Vault."""
