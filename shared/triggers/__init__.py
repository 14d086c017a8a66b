"""Blueprints, one file per source of work: decode, call one function, return or raise."""
