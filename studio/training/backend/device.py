"""The training device."""

import torch

from studio.core.errors import StudioError


def resolve_device(name: str) -> torch.device:
    """Return the device of a recipe; "auto" is the fastest one.

    Raise StudioError if this machine does not have it.
    """
    if name == "auto":
        return torch.device(_best_device())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise StudioError(
            "unknown-device", "{name} is not a device. Use auto, cpu, cuda, cuda:1 or mps.", name=repr(name)
        ) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise StudioError(
            "unknown-device", "Training on {name} is not supported. Use auto, cpu, cuda, cuda:1 or mps.", name=name
        )
    if not _is_available(device):
        raise StudioError("no-device", "This machine has no {name}. Set the device to auto or cpu.", name=name)
    return device


def device_name(device: torch.device) -> str:
    """Return the name of a device, such as "cuda (NVIDIA H100)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _is_available(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or torch.backends.mps.is_available()
