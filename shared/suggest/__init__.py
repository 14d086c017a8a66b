"""Proposals and previews from a real file; nothing is stored."""
