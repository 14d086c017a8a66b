"""What a queue message asks for, and who carries it out."""
