"""Small widgets that know nothing of recipes or runs."""
