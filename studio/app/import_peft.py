"""A folder of HF peft as a run of ours: looked at, measured, exported and trained on like any other."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.core.recipe import Backbone, Data, Head, Recipe
from studio.core.run import ADAPTER_FILE, Run

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex
    from studio.peft.hf import ImportedAdapter


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The run that a folder became, and the attachments that it came to."""

    run: Run
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"run": str(self.run.path), "attachments": [a.model_dump(mode="json") for a in self.recipe.attachments]}


def import_peft(folder: Path, data: str, backbone: str, out: Path) -> ImportResult:
    """Make a run in ``out`` of a folder that HF peft saved for a timm network.

    ``data`` are the images whose classes, in order of their names, are the outputs of the folder's classifier;
    ``backbone`` is a bundled or timm name, or a timm model folder. Raises StudioError, with nothing left behind, where
    ``out`` has something in it, or the folder does not fit the backbone or the classes or brings no classifier.
    """
    from studio.backbones import loading
    from studio.cli.inspect_text import resolve_backbone as named
    from studio.core import paths
    from studio.data.dataset.dataset import build_index
    from studio.peft.hf import from_peft

    images = Recipe(data=Data(path=data)).with_absolute_paths(Path.cwd()).data
    found = build_index(images)
    chosen: Backbone = named(str(paths.resolve_path(backbone)) if Path(backbone).is_dir() else backbone)
    imported = from_peft(folder, loading.load_backbone(chosen, len(found.classes)))
    if not imported.head:
        raise StudioError(
            f"{folder} brings no classifier; save it in HF peft with modules_to_save naming the backbone's classifier."
        )
    _check_class_order(folder, found)
    recipe = Recipe(backbone=chosen, attachments=imported.attachments, head=Head(), data=images)
    return ImportResult(_write_run(recipe, imported, found, out), recipe)


def _check_class_order(folder: Path, found: "DatasetIndex") -> None:
    """An export of ours says what its outputs are: they have to be the classes of the images."""
    said = folder / "labels.json"
    try:
        named = json.loads(said.read_text(encoding="utf-8")) if said.is_file() else list(found.classes)
    except (OSError, ValueError) as error:
        raise StudioError(f"{said} is damaged: its classes cannot be read.") from error
    if named != list(found.classes):
        raise StudioError(f"{said} names other classes than the images in {found.path}; name those it was trained on.")


def _write_run(recipe: Recipe, imported: "ImportedAdapter", found: "DatasetIndex", out: Path) -> Run:
    """The run's folder with what training would have left in it, as far as it can be known."""
    import torch
    from safetensors.torch import save

    from studio.core.files import write_bytes, write_json
    from studio.data.dataset import split_manifest
    from studio.training.model import build_model

    with torch.random.fork_rng(devices=[]):
        built = build_model(recipe, len(found.classes), torch.device("cpu"))
    state = built.model.state_dict() | imported.tensors
    built.model.load_state_dict(state)
    there = out.exists()
    run = Run.create(recipe, out)
    try:
        write_bytes(out / ADAPTER_FILE, save({name: tensor.detach().contiguous() for name, tensor in state.items()}))
        write_json(out / "labels.json", list(found.classes))
        write_json(out / "environment.json", {"backbone": built.weights_digest})
        split_manifest.write_split(found, out)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        if there:
            out.mkdir()
        raise StudioError(f"The run cannot be written to {out}: {error.strerror or error}.") from error
    return run
