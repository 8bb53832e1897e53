"""Contract tests for PEFT methods, built in or of plugins: ``pytest --pyargs studio.testing --method NAME``."""
