"""Objects without pixels that derive state from the document."""
