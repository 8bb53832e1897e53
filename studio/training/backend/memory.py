"""How much memory a training takes: by the device's allocator on a GPU, else by the system's count for the process."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MEMORY = Path("/proc/meminfo")
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""A container's limit and what of it is taken, in both forms that Linux knows."""


class Peak:
    """The most memory taken at once since it was made, or since :meth:`again`, over what was taken then.

    On a GPU that is exact to the byte. Elsewhere it is the memory that the process really occupied, which includes what
    the libraries take for themselves, and whatever else the process does in that time. Where the system cannot begin
    its count anew (all but Linux), memory counts that is more than the process ever held before.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        _give_back()
        self._before = self._held()
        self.again()

    def again(self) -> None:
        """Begin the count of the most anew; what was taken when this object was made stays the beginning."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR.exists():
            _CLEAR.write_text("5")

    def bytes(self) -> int:
        """The most at once so far."""
        most = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _most_resident()
        return max(0, most - self._before)

    def _held(self) -> int:
        return torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else _resident()


def available(device: torch.device) -> int:
    """Bytes that a training on ``device`` could take now: free on the GPU; else free in the machine and container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(_free(), *(_left(limit, taken) for limit, taken in _CGROUPS))


def _give_back() -> None:
    """Let the C library return what is free to the system, so that a count begins at what is really held."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim:
            trim(0)


def _resident() -> int:
    return _named(_STATUS, "VmRSS") if _STATUS.exists() else _most_resident()


def _most_resident() -> int:
    """The most bytes of memory that the process occupied at once."""
    if _STATUS.exists():
        return _named(_STATUS, "VmHWM")
    if os.name == "nt":
        return _windows_most_resident()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on a Mac, where this is for


def _free() -> int:
    """Bytes that the machine can still give without swapping; all that it has where it does not tell."""
    if _MEMORY.exists():
        return _named(_MEMORY, "MemAvailable")
    if os.name == "nt":
        return _windows_free()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _named(path: Path, name: str) -> int:
    """A row such as ``VmRSS:  1234 kB`` in bytes."""
    rows = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(rows[name].split()[0]) * 1024


def _left(limit: Path, taken: Path) -> int:
    """What a container may still take."""
    try:
        return max(0, int(limit.read_text()) - int(taken.read_text()))
    except (OSError, ValueError):  # no such container, or one without a limit, which says "max"
        return sys.maxsize


def _windows_most_resident() -> int:
    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", ctypes.c_ulong),
            ("faults", ctypes.c_ulong),
            *((name, ctypes.c_size_t) for name in ("peak", "now", "a", "b", "c", "d", "pagefile", "peak_pagefile")),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb)
    return int(counters.peak)


def _windows_free() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "pages", "b", "c", "d", "e")),
        )

    status = Status()
    status.length = ctypes.sizeof(status)
    ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.free)
