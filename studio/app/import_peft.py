"""Import of a folder of HF peft as a run."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError, write_error
from studio.core.messages import N_
from studio.core.recipe import Data, Head, Recipe
from studio.core.run import ADAPTER_FILE, Run

if TYPE_CHECKING:
    from studio.data.dataset.index import DatasetIndex
    from studio.peft.hf import ImportedAdapter


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The run made of a folder, and its recipe."""

    run: Run
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"run": str(self.run.path), "attachments": [a.model_dump(mode="json") for a in self.recipe.attachments]}


def import_peft(folder: Path, data: str, backbone: str, out: Path) -> ImportResult:
    """Create a run in ``out`` from a folder that HF peft saved for a timm network.

    ``data`` are the images whose classes, in order of their names, are the outputs of the folder's classifier;
    ``backbone`` is a bundled or timm name, or a timm model folder. Raises StudioError, with nothing left behind, if
    ``out`` is not empty, or if the folder does not fit the backbone or the classes or has no classifier.
    """
    from studio.app.inspection import backbone_from_text
    from studio.backbones import loading
    from studio.core import paths
    from studio.data.dataset.dataset import build_index
    from studio.peft.hf import from_peft

    images = Recipe(data=Data(path=data)).with_absolute_paths(Path.cwd()).data
    index = build_index(images)
    base = backbone_from_text(str(paths.resolve_path(backbone)) if Path(backbone).is_dir() else backbone)
    imported = from_peft(folder, loading.load_backbone(base, len(index.classes)))
    if not imported.head:
        raise StudioError(
            "no-classifier",
            "{path} has no classifier. Save it in HF peft with the backbone's classifier in modules_to_save.",
            path=folder,
        )
    _check_class_order(folder, index)
    recipe = Recipe(backbone=base, attachments=imported.attachments, head=Head(), data=images)
    return ImportResult(_write_run(recipe, imported, index, out), recipe)


def _check_class_order(folder: Path, index: "DatasetIndex") -> None:
    """Raise StudioError if the folder lists other classes than the images have."""
    file = folder / "labels.json"
    try:
        labels = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else list(index.classes)
    except (OSError, ValueError) as error:
        raise StudioError("unreadable-file", "{path} is damaged: its classes cannot be read.", path=file) from error
    if labels != list(index.classes):
        raise StudioError(
            "other-classes",
            "{path} lists other classes than the images in {folder}. Choose the images that it was trained on.",
            path=file,
            folder=index.path,
        )


def _write_run(recipe: Recipe, imported: "ImportedAdapter", index: "DatasetIndex", out: Path) -> Run:
    """Write the run's folder with the files of a training, as far as they are known."""
    import torch
    from safetensors.torch import save

    from studio.core.files import write_bytes, write_json
    from studio.data.dataset import split_manifest
    from studio.training.model import build_model

    with torch.random.fork_rng(devices=[]):
        built = build_model(recipe, len(index.classes), torch.device("cpu"))
    state = built.model.state_dict() | imported.tensors
    built.model.load_state_dict(state)
    existed = out.exists()
    run = Run.create(recipe, out)
    try:
        write_bytes(out / ADAPTER_FILE, save({name: tensor.detach().contiguous() for name, tensor in state.items()}))
        write_json(out / "labels.json", list(index.classes))
        write_json(out / "environment.json", {"backbone": built.weights_digest})
        split_manifest.write_split(index, out)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        if existed:
            out.mkdir()
        raise write_error(N_("the run"), out, error) from error
    return run
