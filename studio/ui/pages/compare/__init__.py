"""The Compare page: runs side by side."""
