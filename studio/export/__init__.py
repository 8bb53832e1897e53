"""Exports: folders that predict elsewhere exactly as the run does here.

Each exporter is one file, and each export is verified.
"""

from studio.export.contract import EXPORTERS, Exporter, ExportSource, Verification, register
from studio.export.write_export import export

__all__ = ["EXPORTERS", "ExportSource", "Exporter", "Verification", "export", "register"]
