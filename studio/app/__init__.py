"""Use cases that the window and the command line share. No Qt, and no torch until one is called."""
