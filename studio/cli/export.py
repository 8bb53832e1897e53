"""``peft-studio export``: export a run and verify the export."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.paths import resource

if TYPE_CHECKING:
    from studio.export.contract import Verification


class _FormatName(click.ParamType):  # type: ignore[type-arg]  # not generic in older click
    """Name of an export format."""

    name = "format"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the names of all formats."""
        return "|".join(format_names())


def format_names() -> list[str]:
    """Return the names of all export formats without importing the exporters.

    Built-in ones are named by their script, those of plugins by their entry point: the help must not import torch.
    """
    scripts = (path.stem.removeprefix("predict_") for path in resource("export").glob("predict_*.py"))
    return sorted({*scripts, *entry_points(group="peft_studio.exporters").names})


@click.command()
@click.argument("run", type=PATH_TYPE)
@click.option("--format", "form", required=True, type=_FormatName(), help="Export format.")
@click.option("--out", type=PATH_TYPE, required=True, help="Folder to create.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
@click.option("--precision", default="float32", show_default=True, metavar="float32|float16", help="Weights' format.")
@json_option
def export(run: Path, form: str, out: Path, overwrite: bool, precision: str, as_json: bool) -> None:
    """Export a run's best adapter and verify the export."""
    from studio.core.run import Run
    from studio.export import export as export_run

    verification = export_run(Run.open(run), form, out, overwrite, precision)
    if as_json:
        return print_json({"export": str(out), "format": form, **verification.as_json()})
    return click.echo(f"{out}: {_verified(verification)}")


def _verified(verification: "Verification") -> str:
    return (
        f"verified on {verification.images} images, largest logit difference {verification.largest_difference:.2g} "
        f"(allowed {verification.tolerance:.2g}), same class on {verification.agreement:.1%}"
    )
