"""Exports: folders that answer elsewhere exactly as the run did here. One exporter a file; each export is verified."""

from studio.export.contract import Exporter, ExportSource, Verification, exporters, register
from studio.export.write_export import export

__all__ = ["ExportSource", "Exporter", "Verification", "export", "exporters", "register"]
