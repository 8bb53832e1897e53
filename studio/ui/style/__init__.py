"""Colors, icons and number formats."""
