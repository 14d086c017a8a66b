"""Corrected rows join the run that refused them; `correct_run.py` tells the story."""
