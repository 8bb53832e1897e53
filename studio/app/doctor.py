"""Checks of this machine and of the installation."""

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from studio.core import paths
from studio.core.errors import StudioError
from studio.core.files import sha256_file
from studio.core.formatting import format_bytes
from studio.core.packages import installed_version

CheckState = Literal["ok", "note", "broken"]
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "pillow", "numpy")
EXTRAS = ("peft", "onnx", "onnxruntime", "onnxscript")
_MIN_FREE_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: "broken" if something cannot work, "note" if it is worth knowing."""

    name: str
    state: CheckState
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def run_checks() -> list[CheckResult]:
    """Run all checks; one that raises counts as broken."""
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
    return [_run_check(name, check) for name, check in checks.items()]


def _run_check(name: str, check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except Exception as error:  # what is broken here may be anything
        return CheckResult(name, "broken", f"{type(error).__name__}: {error}".splitlines()[0])


def _check_python() -> CheckResult:
    state: CheckState = "ok" if sys.version_info >= (3, 11) else "broken"
    return CheckResult("Python", state, f"{platform.python_version()} on {platform.platform()}")


def _check_packages() -> CheckResult:
    installed = {name: installed_version(name) for name in PACKAGES}
    missing = [name for name, found in installed.items() if not found]
    detail = ", ".join(f"{name} {found or 'missing'}" for name, found in installed.items())
    return CheckResult("packages", "broken" if missing else "ok", detail)


def _check_extras() -> CheckResult:
    installed = {name: installed_version(name) for name in EXTRAS}
    detail = ", ".join(f"{name} {found or 'not installed'}" for name, found in installed.items())
    return CheckResult("optional packages", "ok" if all(installed.values()) else "note", detail)


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

    supported = supports_bfloat16(resolve_device("auto"))
    return CheckResult(
        "bfloat16",
        "ok" if supported else "note",
        "supported" if supported else "not supported by the hardware; float32 is faster",
    )


def _check_starter_backbone() -> CheckResult:
    folder = paths.resource("starter")
    expected = _expected_hash(folder)
    digest = sha256_file(folder / "model.safetensors")
    if expected and expected != digest:
        return CheckResult(
            "starter backbone",
            "broken",
            f"its SHA-256 is {digest[:12]}, but its card says {expected[:12]}; reinstall PEFT Studio",
        )
    return CheckResult("starter backbone", "ok", f"{folder}, SHA-256 {digest[:12]}")


def _expected_hash(folder: Path) -> str:
    """Return the hash on the starter's card; "" if there is none."""
    text = "".join(card.read_text(encoding="utf-8") for card in folder.glob("*.md"))
    match = re.search(r"\b[0-9a-f]{64}\b", text)
    return match.group() if match else ""


def _check_demo_images() -> CheckResult:
    count = sum(1 for _ in paths.resource("digits").glob("*/*.png"))
    return CheckResult(
        "demo images", "ok" if count else "broken", f"{count:,} images" if count else "missing; reinstall PEFT Studio"
    )


def _check_qt() -> CheckResult:
    qt = importlib.import_module("PySide6.QtWidgets")
    return CheckResult("window", "ok", f"PySide6 {importlib.import_module('PySide6').__version__}, {qt.__name__} loads")


def _check_display() -> CheckResult:
    name = display_name()
    return CheckResult("display", "ok" if name else "note", name or "none; only the command line works")


def display_name() -> str:
    """Return the display for the window; "" if there is none."""
    if sys.platform in ("win32", "darwin"):
        return "native"
    variables = ("WAYLAND_DISPLAY", "DISPLAY", "QT_QPA_PLATFORM")
    return ", ".join(f"{name}={os.environ[name]}" for name in variables if os.environ.get(name))


def require_display() -> None:
    """Raise StudioError if there is no display, because Qt would end the process."""
    if not display_name():
        raise StudioError(
            "no-display", "Cannot open the window: there is no display. Use the commands in peft-studio --help."
        )


def _check_data_folder() -> CheckResult:
    home = paths.data_dir()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=home):
        free = shutil.disk_usage(home).free
    state: CheckState = "ok" if free > _MIN_FREE_DISK else "note"
    return CheckResult("data folder", state, f"{home} is writable, {format_bytes(free)} free")
