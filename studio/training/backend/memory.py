"""Memory in use, from the allocator of a GPU or from the operating system."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import psutil
import torch

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Limit and usage of a container (cgroup v2 and v1), which psutil does not know."""


class PeakMemory:
    """Peak memory since :meth:`reset`, in bytes above the use at construction.

    On a GPU it is exact. Elsewhere it is the resident memory of the whole process, libraries included. Only Linux can
    reset its counter; on other systems memory counts only above the highest value that the process ever had.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()
        self._baseline_bytes = self._allocated_bytes()

    def reset(self) -> None:
        """Restart the peak counter at the memory in use; the baseline stays."""
        _release_free_memory()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR_REFS.exists():
            _CLEAR_REFS.write_text("5")

    def peak_bytes(self) -> int:
        """Return the peak so far, in bytes."""
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _peak_rss_bytes()
        return max(0, peak - self._baseline_bytes)

    def _allocated_bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return psutil.Process().memory_info().rss


def available_bytes(device: torch.device) -> int:
    """Return the bytes that training on ``device`` can take now.

    On a CPU the limit of the container counts too.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(psutil.virtual_memory().available, *(_cgroup_free_bytes(limit, used) for limit, used in _CGROUPS))


def _release_free_memory() -> None:
    """Return free memory to the system, so that only memory in use counts."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim:
            trim(0)


def _peak_rss_bytes() -> int:
    """Return the peak resident memory of the process, in bytes."""
    if _STATUS.exists():
        # psutil has no peak on Linux, and getrusage() there does not follow the reset through clear_refs.
        rows = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(rows["VmHWM"].split()[0]) * 1024
    if os.name == "nt":
        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def _cgroup_free_bytes(limit: Path, usage: Path) -> int:
    """Return the bytes left to the container; ``sys.maxsize`` without a limit."""
    try:
        return max(0, int(limit.read_text()) - int(usage.read_text()))
    except (OSError, ValueError):
        return sys.maxsize
