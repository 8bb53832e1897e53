"""Names of export formats in the help."""

from studio.cli.export import format_names
from studio.export import EXPORTERS


def test_the_help_names_exactly_the_registered_formats() -> None:
    assert format_names() == sorted(exporter.name for exporter in EXPORTERS)
