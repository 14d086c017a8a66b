"""Calculating KPIs; `calculate.py` tells the story."""
