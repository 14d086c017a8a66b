"""The local stack: Azurite, the functions host, Event Grid and Key Vault on loopback. Never deployed."""
