"""``peft-studio import``: a run from a folder that HF peft saved."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.formatting import program_command


@click.command("import")
@click.argument("folder", type=PATH_TYPE, metavar="PEFT_FOLDER")
@click.option("--backbone", required=True, help="Its backbone: a name or a timm model folder.")
@click.option("--data", required=True, help="Images whose classes are the outputs of its classifier.")
@click.option("--out", type=PATH_TYPE, required=True, help="Folder of the run to create.")
@json_option
def import_(folder: Path, backbone: str, data: str, out: Path, as_json: bool) -> None:
    """Create a run from a folder that HF peft saved."""
    from studio.app.import_peft import import_peft

    result = import_peft(folder, data, backbone, out)
    if as_json:
        return print_json(result.as_json())
    names = ", ".join(a.name for a in result.recipe.attachments) or "head alone"
    return click.echo(f"{out}: {names}\nEvaluate it: {program_command()} evaluate {out}")
