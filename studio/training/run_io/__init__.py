"""Files that a run writes: checkpoints, events, status, lock, environment."""
