"""Measure every PEFT method on the sample images and write resources/guide/methods.json.

    python packaging/guide/measure.py [--only NAME ...] [--out FILE]

Uses one thread and takes some minutes. Times are ratios of alternating measurements, so that they hold on a busy
machine: a training step relative to full fine-tuning, a forward pass relative to the backbone alone.
"""

import argparse
import copy
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from studio.app import training
from studio.app.inspection import Inspector
from studio.backbones import loading
from studio.backbones.safetensors_io import load_tensors
from studio.core import events, paths
from studio.core.control import TrainControl
from studio.core.files import write_text
from studio.core.recipe import Attachment, Backbone, Recipe
from studio.core.run import Run
from studio.export.contract import formats_for
from studio.peft import METHODS, AdaptedModel, Method, attach
from studio.peft.adapter_file import save_adapter
from studio.peft.multi_adapter import AdapterSet
from studio.peft.targets import default_attachment

OUT = paths.resource("guide", "methods.json")
IMAGES_PER_CLASS, VALIDATION, EPOCHS, BATCH, SEED, ROUNDS = 100, 0.4, 15, 16, 0, 31
CLASSES = 10
BACKBONE = Backbone()
PIXELS = (3, 32, 32)


def main() -> None:
    """Measure the given methods, or all, and update the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        suite = MeasurementSuite(Path(folder))
        for name in arguments.only or [method.name for method in METHODS]:
            stats = suite.measure(METHODS.get(name))
            print(name, stats, flush=True)
            save_stats(arguments.out, name, stats)


def save_stats(path: Path, name: str, stats: dict[str, Any]) -> None:
    """Write one method's measurements to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8"))["methods"] if path.exists() else {}
    rows = dict(sorted((known | {name: stats}).items()))
    guide = {"measured": datetime.now(UTC).date().isoformat(), **conditions(), "methods": rows}
    write_text(path, json.dumps(guide, indent=1, ensure_ascii=False) + "\n")


def conditions() -> dict[str, Any]:
    """Return the conditions of the measurements."""
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("peft-studio", "torch", "timm")},
        },
        "backbone": BACKBONE.name,
        "images_per_class": IMAGES_PER_CLASS,
        "validation_fraction": VALIDATION,
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "seed": SEED,
    }


class MeasurementSuite:
    """The sample images in a folder, and full fine-tuning as the reference."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = sample(folder / "digits")
        self.layers = Inspector(BACKBONE, CLASSES).layers
        self.full = self.attached([self.attachment(METHODS.get("full"))])

    def measure(self, method: Method[Any]) -> dict[str, Any]:
        """Return all measurements of one method."""
        attachment = self.attachment(method)
        attached = self.attached([attachment])
        counted = attached.parameter_counts()
        merged = None if method.not_mergeable_reason else attached.merge()
        run = self.trained(method.learning_rate, attachment, method.name)
        end = training.last_event(run.events(), events.Finished)
        return {
            "parameters": counted.attachments[0].parameters,
            "percent": round(100 * counted.attachments[0].parameters / counted.total_parameters, 3),
            "accuracy": None if end is None else round(end.best_accuracy, 4),
            "learning_rate": method.learning_rate,
            "step_ratio": ratio(step(attached), step(self.full), ROUNDS),
            "latency_attached": ratio(forward(attached.eval().module), forward(self.bare()), ROUNDS),
            "latency_merged": merged and ratio(forward(merged), forward(self.bare()), ROUNDS),
            "adapter_bytes": counted.adapter_bytes,
            "switch_ms": round(1000 * self.switching(attached, attachment), 2),
            "mergeable": merged is not None,
            "exports": formats_for(method),
        }

    def attachment(self, method: Method[Any]) -> Attachment:
        """Return the method on its default layers; a fusion gets two trained adapters."""
        fields = {"adapters": [str(self.fused(seed)) for seed in (1, 2)]} if method.name == "fusion" else {}
        return default_attachment(method, self.layers, config=fields)

    def fused(self, seed: int) -> Path:
        """Return the folder of a trained Pfeiffer adapter."""
        folder = self.folder / f"fused-{seed}"
        if not folder.exists():
            made = default_attachment(METHODS.get("pfeiffer"), self.layers)
            module = self.bare()
            origin = loading.weights_digest(module)
            attached = attach(module, [made])
            run = self.trained(METHODS.get("pfeiffer").learning_rate, made, f"fused-{seed}-run", seed)
            attached.load_state_dict(load_tensors(run.path / "adapter.safetensors"))
            folder.mkdir()
            save_adapter(attached, [made], folder, origin, {})
        return folder

    def bare(self) -> nn.Module:
        """Return the backbone without attachments."""
        torch.manual_seed(SEED)
        return loading.load_backbone(BACKBONE, CLASSES)

    def attached(self, attachments: Sequence[Attachment]) -> AdaptedModel:
        """Return the backbone with attachments, as at the start of a training."""
        return attach(self.bare(), attachments)

    def trained(self, rate: float, attachment: Attachment, name: str, seed: int = SEED) -> Run:
        """Train a run with the method's own learning rate."""
        settings = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": rate, "seed": seed, "device": "cpu"}
        data = {"path": str(self.data), "split": {"validation": VALIDATION}}
        raw = {"data": data, "training": settings, "attachments": [attachment.model_dump()]}
        run = training.create_run(Recipe.from_mapping(raw), self.folder / name)
        for _ in training.train(run, TrainControl()):
            pass
        return run

    def switching(self, attached: AdaptedModel, attachment: Attachment) -> float:
        """Return the median seconds to switch to another task on the same backbone."""
        module = self.bare()
        adapters, origin = AdapterSet(module), loading.weights_digest(module)
        labels = [str(number) for number in range(CLASSES)]
        for name in ("one", "other"):
            folder = self.folder / f"pack-{attachment.name}-{name}"
            folder.mkdir(parents=True)
            final = copy.deepcopy(attached)
            attachments = final.finalize([attachment])
            save_adapter(final, attachments, folder, origin, {"labels": labels})
            adapters.add(name, folder)
        return statistics.median(
            wall_seconds(lambda n=name: adapters.activate(n)) for name in ("one", "other") * ROUNDS
        )


def sample(folder: Path) -> Path:
    """Create links to some sample digits of each class, and return the folder."""
    for source in sorted(path for path in paths.resource("digits").iterdir() if path.is_dir()):
        target = folder / source.name
        target.mkdir(parents=True)
        for image in sorted(source.glob("*.png"))[:IMAGES_PER_CLASS]:
            (target / image.name).symlink_to(image)
    return folder


def step(attached: AdaptedModel) -> Callable[[], None]:
    """Return a training step without the optimizer's part."""
    attached.train()
    images, labels = torch.randn(BATCH, *PIXELS), torch.randint(0, CLASSES, (BATCH,))

    def once() -> None:
        nn.functional.cross_entropy(attached.module(images), labels).backward()

    return once


def forward(module: nn.Module) -> Callable[[], None]:
    """Return a forward pass of one batch."""
    images = torch.randn(BATCH, *PIXELS)

    def once() -> None:
        with torch.inference_mode():
            module(images)

    return once


def ratio(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> float:
    """Return the median ratio of CPU time over alternating measurements."""
    ours(), theirs()
    pairs = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(rounds)]
    return round(statistics.median(mine / other for mine, other in pairs), 3)


def cpu_seconds(action: Callable[[], None]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    action()
    return time.process_time() - began


def wall_seconds(action: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
