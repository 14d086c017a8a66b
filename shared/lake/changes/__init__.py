"""The table `changes` of a type: typed rows, each blob version exactly once."""
