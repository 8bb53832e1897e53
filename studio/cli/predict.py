"""``peft-studio predict``: classify images with a run or an export."""

from collections.abc import Sequence
from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.core.errors import StudioError
from studio.core.formatting import format_table


@click.command()
@click.argument("paths", type=PATH_TYPE, nargs=-1, required=True, metavar="RUN_or_EXPORT IMAGE…")
@click.option(
    "--pack", "packs", type=PATH_TYPE, multiple=True, metavar="ADAPTER", help="Answer with several side by side."
)
@json_option
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
    rows = [(a.image, label, f"{probability:.1%}") for a in answers for label, probability in a.top_k(3)]
    return click.echo(format_table(("image", "class", "probability"), rows, right=(2,)))


def _side_by_side(packs: "Sequence[Path]", images: "Sequence[Path]", as_json: bool) -> None:
    from studio.app.multi_task import TaskSet

    answers = TaskSet.open(packs).predict_all(images)
    if as_json:
        return print_json({"packs": {name: [a.as_json() for a in said] for name, said in answers.items()}})
    columns = [[f"{label} {odds:.1%}" for a in said for label, odds in a.top_k(1)] for said in answers.values()]
    rows = zip(map(str, images), *columns, strict=True)
    return click.echo(format_table(("image", *answers), rows))
