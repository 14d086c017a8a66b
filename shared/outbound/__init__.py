"""The life of an export slot; `export_slot.py` tells the story."""
