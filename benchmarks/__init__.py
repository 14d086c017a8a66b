"""Benchmarks: each prints a ratio against a peer that was measured in the same run."""

import os

# As `function_app.py` has it, which some benchmarks import after Arrow has chosen.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
