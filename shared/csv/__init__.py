"""Bytes to proven rows; knows no Azure, no lake and no mapping."""
