"""``peft-studio import``: a run made of a folder that HF peft saved."""

from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.formatting import program_command


@click.command("import")
@click.argument("folder", type=PATH_TYPE, metavar="PEFT_FOLDER")
@click.option("--backbone", required=True, help="What it was trained on: a name, or a timm model folder.")
@click.option("--data", required=True, help="The images; their classes are the outputs of its classifier.")
@click.option("--out", type=PATH_TYPE, required=True, help="Folder of the run to make.")
@json_option
def import_(folder: Path, backbone: str, data: str, out: Path, as_json: bool) -> None:
    """Make a run of a folder that HF peft saved, to evaluate, export and train on."""
    from studio.app.import_peft import import_peft

    made = import_peft(folder, data, backbone, out)
    if as_json:
        return print_json(made.as_json())
    names = ", ".join(a.name for a in made.recipe.attachments) or "the classifier alone"
    return click.echo(f"{out}: {names}\nMeasure it with: {program_command()} evaluate {out}")
