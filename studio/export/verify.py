"""Verification of an export, loaded in a fresh process, against the live model."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from studio.core.errors import StudioError
from studio.core.messages import N_, Message
from studio.core.packages import installed_version
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.data.images import decode
from studio.export.contract import Exporter, ExportSource, Verification, missing_packages

MAX_IMAGES = 64
_TIMEOUT = 600
"""Seconds for the export's process; the images that it has finished by then are compared."""
_DISTRIBUTIONS = {"studio": "peft-studio"}
"""Distributions whose import name differs."""
_CHILD_SCRIPT = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
logits = runpy.run_path(sys.argv[1] + "/predict.py")["logits"]
for batch in json.load(sys.stdin):
    print(json.dumps({"logits": logits(batch), "modules": sorted(n for n in sys.modules if "." not in n)}), flush=True)
"""


@dataclass(frozen=True, slots=True)
class _ExportLogits:
    """Logits (n, classes) of an export for the first n images, and how it ran."""

    logits: torch.Tensor
    loaded_with: Message


def verify_export(exporter: Exporter, source: ExportSource, folder: Path) -> Verification:
    """Compare the live model with the folder's own ``predict.py``.

    They predict up to 64 validation images. Both work in batches of at most the run's batch size. The live model sees
    the images through the program's preprocessing, the export through its own, so that both are verified. If the export
    needs more than 10 minutes, fewer images are compared.
    """
    batches = list(_batches(validation_images(source), source.recipe.training.batch_size))
    missing = missing_packages(exporter.predict_packages)
    if missing:
        exported = _load_in_process(exporter, folder, source, batches, missing)
    else:
        exported = _run_predict_script(exporter, folder, batches)
    live = _live_logits(source, batches, len(exported.logits))
    return _compare(exporter, source, live, exported)


def validation_images(source: ExportSource) -> list[Path]:
    """Return up to 64 files, spread evenly over the validation split."""
    index = split_manifest.read_split(source.run.path) or build_index(source.recipe.data)
    split = dataset_for_split(index, source.preprocessing, "validation")
    count = min(MAX_IMAGES, len(split))
    return [split.path(round(i * (len(split) - 1) / max(count - 1, 1))) for i in range(count)]


def _batches(paths: Sequence[Path], size: int) -> Iterator[list[Path]]:
    """Yield the first image alone, then batches of ``size``.

    Even a slow export then has a result in time.
    """
    yield list(paths[:1])
    yield from (list(paths[start : start + size]) for start in range(1, len(paths), size))


def _live_logits(source: ExportSource, batches: Sequence[Sequence[Path]], images: int) -> torch.Tensor:
    """Return the live model's logits for the first ``images`` images, on the CPU."""
    device = next(source.model.module.parameters()).device
    logits, done = [], 0
    for batch in batches:
        if done < images:
            with torch.inference_mode():
                logits.append(source.model.module(_read_batch(source, batch).to(device)).float().cpu())
            done += len(batch)
    return torch.cat(logits)


def _read_batch(source: ExportSource, paths: Sequence[Path]) -> torch.Tensor:
    return torch.stack([source.preprocessing(decode.read_image(path)) for path in paths])


def _run_predict_script(exporter: Exporter, folder: Path, batches: Sequence[Sequence[Path]]) -> _ExportLogits:
    """Run ``predict.py`` in a fresh process.

    It has none of our modules except those that the script imports.
    """
    results = [json.loads(line) for line in _script_output(folder, batches)]
    modules = {name for result in results for name in result["modules"]}
    packages = ", ".join(f"{name} {_version(name)}" for name in exporter.predict_packages if name in modules)
    return _ExportLogits(
        torch.tensor([row for result in results for row in result["logits"]]),
        N_("predict.py in a fresh process, with {packages}", packages=packages),
    )


def _script_output(folder: Path, batches: Sequence[Sequence[Path]]) -> list[str]:
    """Return a line of JSON for each batch finished in time; StudioError if none."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD_SCRIPT, str(folder)],
            input=json.dumps([[str(path.absolute()) for path in batch] for batch in batches]).encode(),
            capture_output=True,
            timeout=_TIMEOUT,
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return _complete_lines(expired.stdout or b"") or _raise_timeout()
    if done.returncode:
        reason = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [str(done.returncode)])[-1]
        raise StudioError(
            "export-script-failed",
            "The export was discarded: its predict.py failed with {reason}. Choose another format.",
            reason=reason.rstrip("."),
        )
    return _complete_lines(done.stdout)[-len(batches) :]


def _complete_lines(output: bytes) -> list[str]:
    """Return the complete lines of JSON objects in the output of a process."""
    lines = output.decode("utf-8", "replace").split("\n")[:-1]
    return [line for line in lines if line.startswith('{"logits"')]


def _raise_timeout() -> list[str]:
    raise StudioError(
        "export-timeout",
        "The export was discarded: its predict.py did not finish one image in {minutes} minutes. "
        "Stop other programs and try again.",
        minutes=_TIMEOUT // 60,
    )


def _load_in_process(
    exporter: Exporter,
    folder: Path,
    source: ExportSource,
    batches: Sequence[Sequence[Path]],
    missing: Sequence[str],
) -> _ExportLogits:
    model = exporter.load(folder)
    with torch.inference_mode():
        logits = torch.cat([model(_read_batch(source, batch)).float().cpu() for batch in batches])
    return _ExportLogits(
        logits, N_("the program's own importer, because {packages} is not installed", packages=", ".join(missing))
    )


def _version(package: str) -> str:
    return installed_version(_DISTRIBUTIONS.get(package, package)) or "(unknown version)"


def _compare(exporter: Exporter, source: ExportSource, live: torch.Tensor, exported: _ExportLogits) -> Verification:
    logits = exported.logits
    if live.shape != logits.shape:
        raise StudioError(
            "export-differs",
            "The export was discarded: its scores have shape {shape}, the run's {expected}. Choose another format.",
            shape=tuple(logits.shape),
            expected=tuple(live.shape),
        )
    difference = float((live.double() - logits.double()).abs().max())
    largest = float(live.abs().max())
    return Verification(
        largest_difference=difference if math.isfinite(difference) else math.inf,
        agreement=float((live.argmax(1) == logits.argmax(1)).double().mean()),
        images=len(live),
        tolerance=exporter.tolerance(source, largest),
        largest_logit=largest,
        loaded_with=exported.loaded_with,
        precision=source.precision,
    )
