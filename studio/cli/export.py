"""Verbs about what is taken elsewhere or comes from there: ``predict``, ``export``, ``import``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studio.cli.console import PATH, as_json, print_json
from studio.core.errors import StudioError
from studio.core.formatting import program, table

if TYPE_CHECKING:
    from studio.export.contract import Verification

FORMATS = ("adapter", "peft", "merged", "onnx", "torch")


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="RUN_or_EXPORT IMAGE…")
@click.option("--pack", "packs", type=PATH, multiple=True, metavar="ADAPTER", help="Answer with several side by side.")
@as_json
def predict(paths: tuple[Path, ...], packs: tuple[Path, ...], as_json: bool) -> None:
    """Classify images with a run or any export; with --pack, with several adapters on one backbone."""
    from studio.app import prediction

    if packs:
        return _side_by_side(packs, paths, as_json)
    source, *images = paths
    if not images:
        raise StudioError("Name the images after the run or export.")
    answers = prediction.predict(source, images)
    if as_json:
        return print_json({"predictions": [answer.as_json() for answer in answers]})
    rows = [(a.image, label, f"{probability:.1%}") for a in answers for label, probability in a.best(3)]
    return click.echo(table(("image", "class", "probability"), rows, right=(2,)))


@click.command()
@click.argument("run", type=PATH)
@click.option("--format", "form", required=True, metavar="|".join(FORMATS), help="What to make.")
@click.option("--out", type=PATH, required=True, help="Folder to make.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it is there.")
@click.option("--precision", default="float32", show_default=True, metavar="float32|float16", help="Of the weights.")
@as_json
def export(run: Path, form: str, out: Path, overwrite: bool, precision: str, as_json: bool) -> None:
    """Export a run's best adapter and verify the result."""
    from studio.core.run import Run
    from studio.export import export as make

    verification = make(Run.open(run), form, out, overwrite, precision)
    if as_json:
        return print_json({"export": str(out), "format": form, **verification.as_json()})
    return click.echo(f"{out}: {_verified(verification)}")


@click.command("import")
@click.argument("folder", type=PATH, metavar="PEFT_FOLDER")
@click.option("--backbone", required=True, help="What it was trained on: a name, or a timm model folder.")
@click.option("--data", required=True, help="The images; their classes are the outputs of its classifier.")
@click.option("--out", type=PATH, required=True, help="Folder of the run to make.")
@as_json
def import_(folder: Path, backbone: str, data: str, out: Path, as_json: bool) -> None:
    """Make a run of a folder that HF peft saved, to evaluate, export and train on."""
    from studio.app.import_peft import import_peft

    made = import_peft(folder, data, backbone, out)
    if as_json:
        return print_json(made.as_json())
    names = ", ".join(a.name for a in made.recipe.attachments) or "the classifier alone"
    return click.echo(f"{out}: {names}\nMeasure it with: {program()} evaluate {out}")


def _side_by_side(packs: "Sequence[Path]", images: "Sequence[Path]", as_json: bool) -> None:
    from studio.app.multi_task import Tasks

    answers = Tasks.open(packs).side_by_side(images)
    if as_json:
        return print_json({"packs": {name: [a.as_json() for a in said] for name, said in answers.items()}})
    columns = [[f"{label} {odds:.1%}" for a in said for label, odds in a.best(1)] for said in answers.values()]
    rows = zip(map(str, images), *columns, strict=True)
    return click.echo(table(("image", *answers), rows))


def _verified(verification: "Verification") -> str:
    return (
        f"verified on {verification.images} images, largest logit difference {verification.largest_difference:.2g} "
        f"(allowed {verification.tolerance:.2g}), same answer on {verification.agreement:.1%}"
    )
