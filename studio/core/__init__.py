"""The document and its language: recipe, layers, registry, events, run directory. No torch, no Qt."""
