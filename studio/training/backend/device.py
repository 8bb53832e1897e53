"""Which device trains, as a value; the rest of the code is the same for all of them."""

import torch

from studio.core.errors import StudioError


def resolve_device(name: str) -> torch.device:
    """The device of a recipe: "auto" is the best there is. StudioError where it does not exist on this machine."""
    if name == "auto":
        return torch.device(_best_device())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise StudioError(f"{name!r} is not a device; use auto, cpu, cuda, cuda:1 or mps.") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise StudioError(f"Training on {name} is not supported; use auto, cpu, cuda, cuda:1 or mps.")
    if not _is_available(device):
        raise StudioError(f"This machine has no {name}; set training.device to auto or cpu.")
    return device


def device_name(device: torch.device) -> str:
    """The device in words, such as "cuda (NVIDIA H100)"."""
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
