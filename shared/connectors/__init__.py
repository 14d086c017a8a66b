"""Other people's systems: what each kind of connector is, one folder each, and whether they can be reached."""
