"""ExchangeOnline: mail and meetings are read."""
