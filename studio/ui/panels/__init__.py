"""The five pages, and what is on them."""
