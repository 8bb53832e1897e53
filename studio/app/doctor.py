"""What this machine has, and what is broken."""

import hashlib
import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from studio.core import paths
from studio.core.errors import StudioError

CheckState = Literal["ok", "note", "broken"]
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "pillow", "numpy")
EXTRAS = ("peft", "onnx", "onnxruntime", "onnxscript")
_MIN_FREE_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at. "broken" keeps something from working; "note" is worth knowing."""

    name: str
    state: CheckState
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def run_checks() -> list[CheckResult]:
    """Look at everything; a check that itself fails is a broken finding."""
    checks: dict[str, Callable[[], CheckResult]] = {
        "Python": _check_python,
        "packages": _check_packages,
        "optional packages": _check_extras,
        "device": _check_device,
        "bfloat16": _check_bfloat16,
        "starter backbone": _check_starter_backbone,
        "demo images": _check_demo_images,
        "window": _check_qt,
        "display": _check_display,
        "data folder": _check_data_folder,
    }
    return [_run_check(what, check) for what, check in checks.items()]


def _run_check(what: str, check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except Exception as error:  # what is broken here may be anything
        return CheckResult(what, "broken", f"{type(error).__name__}: {error}".splitlines()[0])


def _check_python() -> CheckResult:
    state: CheckState = "ok" if sys.version_info >= (3, 11) else "broken"
    return CheckResult("Python", state, f"{platform.python_version()} on {platform.platform()}")


def _check_packages() -> CheckResult:
    installed = {name: _installed_version(name) for name in PACKAGES}
    missing = [name for name, found in installed.items() if not found]
    detail = ", ".join(f"{name} {found or 'missing'}" for name, found in installed.items())
    return CheckResult("packages", "broken" if missing else "ok", detail)


def _check_extras() -> CheckResult:
    installed = {name: _installed_version(name) for name in EXTRAS}
    detail = ", ".join(f"{name} {found or 'not installed'}" for name, found in installed.items())
    return CheckResult("optional packages", "ok" if all(installed.values()) else "note", detail)


def _installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _check_device() -> CheckResult:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return CheckResult("device", "ok", f"CUDA: {names}")
    if torch.backends.mps.is_available():
        return CheckResult("device", "ok", "MPS")
    return CheckResult("device", "ok", f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores")


def _check_bfloat16() -> CheckResult:
    from studio.training.backend.device import resolve_device
    from studio.training.backend.precision import supports_bfloat16

    able = supports_bfloat16(resolve_device("auto"))
    return CheckResult(
        "bfloat16", "ok" if able else "note", "in hardware" if able else "not in hardware, float32 is faster here"
    )


def _check_starter_backbone() -> CheckResult:
    folder = paths.resource("starter")
    stated = _expected_hash(folder)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if stated and stated != found:
        return CheckResult(
            "starter backbone", "broken", f"its hash is {found[:12]}, but its card says {stated[:12]}; install again"
        )
    return CheckResult("starter backbone", "ok", f"{folder}, sha256 {found[:12]}")


def _expected_hash(folder: Path) -> str:
    """The hash on the starter's card; empty where the card states none."""
    text = "".join(card.read_text(encoding="utf-8") for card in folder.glob("*.md"))
    match = re.search(r"\b[0-9a-f]{64}\b", text)
    return match.group() if match else ""


def _check_demo_images() -> CheckResult:
    count = sum(1 for _ in paths.resource("digits").glob("*/*.png"))
    return CheckResult(
        "demo images", "ok" if count else "broken", f"{count:,} images" if count else "missing; install again"
    )


def _check_qt() -> CheckResult:
    qt = importlib.import_module("PySide6.QtWidgets")
    return CheckResult("window", "ok", f"PySide6 {importlib.import_module('PySide6').__version__}, {qt.__name__} loads")


def _check_display() -> CheckResult:
    found = display_name()
    return CheckResult(
        "display", "ok" if found else "note", found or "none: the command line works, the window does not"
    )


def display_name() -> str:
    """What the window would be shown on; empty where there is nothing."""
    if sys.platform in ("win32", "darwin"):
        return "native"
    variables = ("WAYLAND_DISPLAY", "DISPLAY", "QT_QPA_PLATFORM")
    return ", ".join(f"{name}={os.environ[name]}" for name in variables if os.environ.get(name))


def require_display() -> None:
    """Raise StudioError where there is no display: Qt would end the process."""
    if not display_name():
        raise StudioError(
            "There is no display to open the window on; the verbs of peft-studio --help work without one."
        )


def _check_data_folder() -> CheckResult:
    home = paths.data_dir()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=home):
        free = shutil.disk_usage(home).free
    state: CheckState = "ok" if free > _MIN_FREE_DISK else "note"
    return CheckResult("data folder", state, f"{home} can be written, {free / (1 << 30):.1f} GiB free")
