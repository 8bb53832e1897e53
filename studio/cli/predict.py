"""``peft-studio predict``: classify images with a run or an export."""

from collections.abc import Sequence
from pathlib import Path

import click

from studio.cli.console import PATH_TYPE, json_option, print_json
from studio.cli.tables import make_table, print_parts
from studio.core.errors import StudioError


@click.command()
@click.argument("paths", type=PATH_TYPE, nargs=-1, required=True, metavar="RUN_or_EXPORT IMAGE…")
@click.option(
    "--pack",
    "packs",
    type=PATH_TYPE,
    multiple=True,
    metavar="ADAPTER",
    help="Adapter to predict with; may be repeated.",
)
@json_option
def predict(paths: tuple[Path, ...], packs: tuple[Path, ...], as_json: bool) -> None:
    """Classify images with a run or an export, or with several adapters (--pack)."""
    from studio.app import prediction

    if packs:
        return _side_by_side(packs, paths, as_json)
    source, *images = paths
    if not images:
        raise StudioError("missing-option", "Missing images. Add them after the run or export.")
    predictions = prediction.predict(source, images)
    if as_json:
        return print_json({"predictions": [one.as_json() for one in predictions]})
    rows = [(a.image, label, f"{probability:.1%}") for a in predictions for label, probability in a.top_k(3)]
    return print_parts(make_table(("image", "class", "probability"), rows, right=(2,)))


def _side_by_side(packs: "Sequence[Path]", images: "Sequence[Path]", as_json: bool) -> None:
    from studio.app.multi_task import TaskSet

    by_adapter = TaskSet.open(packs).predict_all(images)
    if as_json:
        return print_json({"packs": {name: [a.as_json() for a in rows] for name, rows in by_adapter.items()}})
    columns = [
        [f"{label} {probability:.1%}" for a in rows for label, probability in a.top_k(1)]
        for rows in by_adapter.values()
    ]
    return print_parts(make_table(("image", *by_adapter), zip(map(str, images), *columns, strict=True)))
