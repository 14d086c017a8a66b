"""Outbound: exports are written to a partner's container."""
