"""Kinds of definitions over HTTP: what a row of their table holds, and the routes that a row becomes."""
