"""The window. Qt only; the engine (torch) is imported on a background thread after the window is up."""
