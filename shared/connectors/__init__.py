"""Other people's systems, one module each: whether they can be reached as a connector says."""
