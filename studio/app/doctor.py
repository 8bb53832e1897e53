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

State = Literal["ok", "note", "broken"]
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "pillow", "numpy")
EXTRAS = ("peft", "onnx", "onnxruntime", "onnxscript")
_ENOUGH_DISK = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. "broken" keeps something from working; "note" is worth knowing."""

    what: str
    state: State
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; a check that itself fails is a broken finding."""
    checks: dict[str, Callable[[], Finding]] = {
        "Python": _python,
        "packages": _packages,
        "optional packages": _extras,
        "device": _device,
        "bfloat16": _bfloat16,
        "starter backbone": _starter,
        "demo images": _images,
        "window": _window,
        "display": _display,
        "data folder": _folder,
    }
    return [_safely(what, check) for what, check in checks.items()]


def _safely(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # what is broken here may be anything
        return Finding(what, "broken", f"{type(error).__name__}: {error}".splitlines()[0])


def _python() -> Finding:
    state: State = "ok" if sys.version_info >= (3, 11) else "broken"
    return Finding("Python", state, f"{platform.python_version()} on {platform.platform()}")


def _packages() -> Finding:
    installed = {name: _version(name) for name in PACKAGES}
    missing = [name for name, found in installed.items() if not found]
    detail = ", ".join(f"{name} {found or 'missing'}" for name, found in installed.items())
    return Finding("packages", "broken" if missing else "ok", detail)


def _extras() -> Finding:
    installed = {name: _version(name) for name in EXTRAS}
    detail = ", ".join(f"{name} {found or 'not installed'}" for name, found in installed.items())
    return Finding("optional packages", "ok" if all(installed.values()) else "note", detail)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("device", "ok", f"CUDA: {names}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "MPS")
    return Finding("device", "ok", f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores")


def _bfloat16() -> Finding:
    import torch

    if torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported()
    else:
        able = any(torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return Finding(
        "bfloat16", "ok" if able else "note", "in hardware" if able else "not in hardware, float32 is faster here"
    )


def _starter() -> Finding:
    folder = paths.resource("starter")
    stated = _stated_hash(folder)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if stated and stated != found:
        return Finding(
            "starter backbone", "broken", f"its hash is {found[:12]}, but its card says {stated[:12]}; install again"
        )
    return Finding("starter backbone", "ok", f"{folder}, sha256 {found[:12]}")


def _stated_hash(folder: Path) -> str:
    """The hash on the starter's card; empty where the card states none."""
    text = "".join(card.read_text(encoding="utf-8") for card in folder.glob("*.md"))
    match = re.search(r"\b[0-9a-f]{64}\b", text)
    return match.group() if match else ""


def _images() -> Finding:
    count = sum(1 for _ in paths.resource("digits").glob("*/*.png"))
    return Finding(
        "demo images", "ok" if count else "broken", f"{count:,} images" if count else "missing; install again"
    )


def _window() -> Finding:
    qt = importlib.import_module("PySide6.QtWidgets")
    return Finding("window", "ok", f"PySide6 {importlib.import_module('PySide6').__version__}, {qt.__name__} loads")


def _display() -> Finding:
    found = display()
    return Finding("display", "ok" if found else "note", found or "none: the command line works, the window does not")


def display() -> str:
    """What the window would be shown on; empty where there is nothing."""
    if sys.platform in ("win32", "darwin"):
        return "native"
    variables = ("WAYLAND_DISPLAY", "DISPLAY", "QT_QPA_PLATFORM")
    return ", ".join(f"{name}={os.environ[name]}" for name in variables if os.environ.get(name))


def require_display() -> None:
    """Raise StudioError where there is no display: Qt would end the process."""
    if not display():
        raise StudioError(
            "There is no display to open the window on; the verbs of peft-studio --help work without one."
        )


def _folder() -> Finding:
    home = paths.data_dir()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=home):
        free = shutil.disk_usage(home).free
    state: State = "ok" if free > _ENOUGH_DISK else "note"
    return Finding("data folder", state, f"{home} can be written, {free / (1 << 30):.1f} GiB free")
