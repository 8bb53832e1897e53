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
    """Metrics in float32 over the images that the run has recorded for ``split``.

    Images that cannot be read are left out. Raises StudioError where the run has no adapter, or the split no images.
    """
    _parse_split(split)
    return evaluate_split(run, restore.load_trained(run), split, control)


def evaluate_split(
    run: Run, trained: restore.TrainedModel, split: str = "validation", control: TrainControl | None = None
) -> Metrics:
    """:func:`evaluate` for an adapter that is restored already, with whatever of it is switched on."""
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
        raise StudioError(f"None of the {split} images can be read; put them back, and evaluate again.")
    return metrics


def _parse_split(split: str) -> SplitName:
    name = next((name for name in SPLITS if name == split), None)
    if name is None:
        raise StudioError(f"There is no split called {split!r}; there are {', '.join(SPLITS)}.")
    return name
