"""What things are and what is allowed: no clock, no network, no Azure."""
