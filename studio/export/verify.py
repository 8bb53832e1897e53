"""Verification: an export loaded again from disk, in a fresh process, answers as the live model does."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from studio.core.errors import StudioError
from studio.core.packages import installed_version
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.data.images import decode
from studio.export.contract import Exporter, ExportSource, Verification

MAX_IMAGES = 64
_TIMEOUT = 600
_OWN_PACKAGE = "studio"
_CHILD_SCRIPT = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
logits = runpy.run_path(sys.argv[1] + "/predict.py")["logits"](json.load(sys.stdin))
print(json.dumps({"logits": logits, "modules": sorted(name for name in sys.modules if "." not in name)}))
"""


def verify_export(exporter: Exporter, source: ExportSource, folder: Path) -> Verification:
    """Compare the live model with the folder's own ``predict.py`` on up to 64 validation images.

    The live model sees the images through the program's preprocessing, the export through its own: both are verified.
    """
    paths = validation_images(source)
    live = _live_logits(source, paths)
    missing = [name for name in exporter.verify_packages if find_spec(name) is None]
    loaded, how = (
        _load_in_process(exporter, folder, source, paths, missing) if missing else _run_predict_script(folder, paths)
    )
    return _compare(exporter, source, live, loaded, how)


def validation_images(source: ExportSource) -> list[Path]:
    """Up to 64 files spread evenly over the validation split."""
    summary = split_manifest.read_split(source.run.path) or build_index(source.recipe.data)
    split = dataset_for_split(summary, source.preprocessing, "validation")
    count = min(MAX_IMAGES, len(split))
    return [split.path(round(i * (len(split) - 1) / max(count - 1, 1))) for i in range(count)]


def _live_logits(source: ExportSource, paths: Sequence[Path]) -> torch.Tensor:
    batch = torch.stack([source.preprocessing(decode.read_image(path)) for path in paths])
    device = next(source.model.module.parameters()).device
    with torch.inference_mode():
        return torch.Tensor(source.model.module(batch.to(device)).float().cpu())


def _run_predict_script(folder: Path, paths: Sequence[Path]) -> tuple[torch.Tensor, str]:
    """Run ``predict.py`` in a process that has nothing of ours but what the script itself imports."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD_SCRIPT, str(folder)],
        input=json.dumps([str(path.absolute()) for path in paths]),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_TIMEOUT,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StudioError(f"The export was discarded, because its own predict.py does not run: {reason}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    packages = [name for name in ("timm", "peft", "onnxruntime", "torch", _OWN_PACKAGE) if name in said["modules"]]
    return torch.tensor(said["logits"]), f"predict.py in a fresh process, with {_versions(packages)}"


def _load_in_process(
    exporter: Exporter, folder: Path, source: ExportSource, paths: Sequence[Path], missing: Sequence[str]
) -> tuple[torch.Tensor, str]:
    batch = torch.stack([source.preprocessing(decode.read_image(path)) for path in paths])
    with torch.inference_mode():
        logits = exporter.load(folder)(batch)
    return logits.float().cpu(), f"the program's own importer, because {', '.join(missing)} is not installed"


def _versions(packages: Sequence[str]) -> str:
    names = {name: "peft-studio" if name == _OWN_PACKAGE else name for name in packages}
    return ", ".join(f"{name} {installed_version(package) or '(no version)'}" for name, package in names.items())


def _compare(
    exporter: Exporter, source: ExportSource, live: torch.Tensor, loaded: torch.Tensor, loaded_with: str
) -> Verification:
    if live.shape != loaded.shape:
        raise StudioError(
            f"The export was discarded: it gives scores of shape {tuple(loaded.shape)} instead of {tuple(live.shape)}."
        )
    difference = float((live.double() - loaded.double()).abs().max())
    largest = float(live.abs().max())
    return Verification(
        largest_difference=difference if math.isfinite(difference) else math.inf,
        agreement=float((live.argmax(1) == loaded.argmax(1)).double().mean()),
        images=len(live),
        tolerance=exporter.tolerance(source, largest),
        largest_logit=largest,
        loaded_with=loaded_with,
        precision=source.precision,
    )
