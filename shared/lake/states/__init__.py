"""The table `states` of a profile type: merged rows, refresh by refresh."""
