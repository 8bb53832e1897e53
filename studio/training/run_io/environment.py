"""The environment of a run: versions, device and precision, for reproducing it."""

import platform
import sys
from typing import Any

import torch

from studio.core.messages import N_, Message
from studio.core.packages import installed_version
from studio.training.backend import device as devices

_PACKAGES = ("peft-studio", "torch", "torchvision", "timm", "pillow", "numpy", "safetensors")


def collect_environment(
    device: torch.device, precision: str, weights_digest: str, world_size: int = 1
) -> dict[str, Any]:
    """Return the content of ``environment.json``.

    ``weights_digest`` is the hash of the base weights.
    """
    return {
        "python": sys.version.split()[0],
        "packages": {name: installed_version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": devices.device_name(device),
        "threads": torch.get_num_threads(),
        "processes": world_size,
        "precision": precision,
        "backbone": weights_digest,
    }


def environment_changes(before: dict[str, Any], now: dict[str, Any]) -> list[Message]:
    """Return a warning for each change that can alter the last digits."""
    names = {"device": N_("device"), "threads": N_("number of threads"), "precision": N_("precision")}
    rows: list[tuple[str, Any, Any]] = [(name, before.get(key), now[key]) for key, name in names.items()]
    rows += [(N_("number of processes"), before.get("processes", 1), now["processes"])]
    rows += [(name, before.get("packages", {}).get(name), now["packages"][name]) for name in ("torch", "timm")]
    return [
        N_("Results may differ in their last digits: {name} was {old} and is now {new}.", name=name, old=old, new=new)
        for name, old, new in rows
        if old != new
    ]
