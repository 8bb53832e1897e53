"""What a run was made with, for whoever wants to make it again."""

import platform
import sys
from typing import Any

import torch

from studio.core.packages import installed_version
from studio.training.backend import device as devices

_PACKAGES = ("peft-studio", "torch", "torchvision", "timm", "pillow", "numpy", "safetensors")


def collect_environment(
    device: torch.device, precision: str, weights_digest: str, world_size: int = 1
) -> dict[str, Any]:
    """Versions, machine, device, threads and precision; ``weights_digest`` is the hash of the base weights."""
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


def environment_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words, what is no longer as it was and makes results differ in their last digits."""
    rows = [(key, before.get(key), now[key]) for key in ("device", "threads", "precision")]
    rows += [("processes", before.get("processes", 1), now["processes"])]
    rows += [(name, before.get("packages", {}).get(name), now["packages"][name]) for name in ("torch", "timm")]
    return [f"{name} was {old} and is {new}" for name, old, new in rows if old != new]
