"""Features of a frozen prefix, computed once and reused."""
