"""Device, precision, memory format and memory."""
