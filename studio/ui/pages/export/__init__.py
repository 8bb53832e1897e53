"""The Export page: formats and verification."""
