"""Recipe, layers, registry, events and run directory. No torch, no Qt."""
