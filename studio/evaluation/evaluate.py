"""Metrics of a run's best adapter over one of its splits."""

from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.run import Run
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import dataset_for_split
from studio.data.images.file_index import SPLITS, SplitName
from studio.data.loader import Loader
from studio.evaluation import restore
from studio.training.backend import device as devices
from studio.training.evaluate import run_eval_pass
from studio.training.inputs import model_with_preprocessing
from studio.training.metrics import Metrics


def evaluate(run: Run, split: str = "validation", control: TrainControl | None = None) -> Metrics:
    """Compute metrics in float32 over the run's recorded images of ``split``.

    Unreadable images are skipped. Raises StudioError if the run has no adapter, or the split no images.
    """
    _parse_split(split)
    return evaluate_split(run, restore.load_trained(run), split, control)


def evaluate_split(
    run: Run, trained: restore.TrainedModel, split: str = "validation", control: TrainControl | None = None
) -> Metrics:
    """Compute these metrics for a loaded model with its enabled attachments."""
    name, recipe = _parse_split(split), run.recipe
    images = split_manifest.images_of_run(run.path, recipe.data)
    device = devices.resolve_device(recipe.training.device)
    trained.model.module.to(device)
    network = model_with_preprocessing(trained.model, trained.preprocessing)
    dataset = dataset_for_split(images, trained.preprocessing, name)
    with Loader(dataset, recipe.training.batch_size) as loader:
        measured = run_eval_pass(network, loader, device, "float32", control or TrainControl())
    metrics = measured.accumulator.compute(split)
    if not metrics.images:
        raise StudioError(
            "no-readable-images",
            "Cannot evaluate: none of the {split} images can be read. Restore them and try again.",
            split=split,
        )
    return metrics


def _parse_split(split: str) -> SplitName:
    name = next((name for name in SPLITS if name == split), None)
    if name is None:
        raise StudioError(
            "unknown-split", "There is no split {split}. Choose {splits}.", split=split, splits=", ".join(SPLITS)
        )
    return name
