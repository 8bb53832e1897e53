"""The pages of the window, one folder each; a page imports no other page."""
