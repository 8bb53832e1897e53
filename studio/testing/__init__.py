"""Contract tests for PEFT methods, built in and of plugins: ``pytest --pyargs studio.testing --method NAME``."""
