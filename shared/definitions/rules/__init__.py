"""What definitions must fulfil beside other definitions."""
