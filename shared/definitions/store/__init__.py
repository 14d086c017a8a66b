"""Documents in the table `definitions`, whatever they define."""
