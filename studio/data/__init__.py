"""Images: reading them, checking a folder of them, splitting it, and bringing them to the backbone."""
