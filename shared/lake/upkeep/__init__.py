"""Upkeep of the tables, and their deletion."""
