"""The Train page: runs, queue and plots."""
