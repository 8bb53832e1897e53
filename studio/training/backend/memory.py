"""How much memory a training takes: by the device's allocator on a GPU, else by the system's count for the process."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import torch

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""A container's limit and what of it is taken, in both forms that Linux knows."""


class PeakMemory:
    """The most memory taken at once since it was made, or since :meth:`reset`, over what was taken then.

    On a GPU that is exact to the byte. Elsewhere it is the memory that the process really occupied, which includes what
    the libraries take for themselves, and whatever else the process does in that time. Where the system cannot begin
    its count anew (all but Linux), memory counts that is more than the process ever held before.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        _release_free_memory()
        self._baseline_bytes = self._allocated_bytes()
        self.reset()

    def reset(self) -> None:
        """Begin the count of the most anew; what was taken when this object was made stays the beginning."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR_REFS.exists():
            _CLEAR_REFS.write_text("5")

    def peak_bytes(self) -> int:
        """The most at once so far."""
        most = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _peak_rss_bytes()
        return max(0, most - self._baseline_bytes)

    def _allocated_bytes(self) -> int:
        return torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else _rss_bytes()


def available_bytes(device: torch.device) -> int:
    """Bytes that a training on ``device`` could take now: free on the GPU; else free in the machine and container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(_free_bytes(), *(_cgroup_free_bytes(limit, taken) for limit, taken in _CGROUPS))


def _release_free_memory() -> None:
    """Let the C library return what is free to the system, so that a count begins at what is really held."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim:
            trim(0)


def _rss_bytes() -> int:
    return _proc_bytes(_STATUS, "VmRSS") if _STATUS.exists() else _peak_rss_bytes()


def _peak_rss_bytes() -> int:
    """The most bytes of memory that the process occupied at once."""
    if _STATUS.exists():
        return _proc_bytes(_STATUS, "VmHWM")
    if os.name == "nt":
        return _windows_peak_rss_bytes()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on a Mac, where this is for


def _free_bytes() -> int:
    """Bytes that the machine can still give without swapping; all that it has where it does not tell."""
    if _MEMINFO.exists():
        return _proc_bytes(_MEMINFO, "MemAvailable")
    if os.name == "nt":
        return _windows_free_bytes()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _proc_bytes(path: Path, name: str) -> int:
    """A row such as ``VmRSS:  1234 kB`` in bytes."""
    rows = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(rows[name].split()[0]) * 1024


def _cgroup_free_bytes(limit: Path, usage: Path) -> int:
    """What a container may still take."""
    try:
        return max(0, int(limit.read_text()) - int(usage.read_text()))
    except (OSError, ValueError):  # no such container, or one without a limit, which says "max"
        return sys.maxsize


def _windows_peak_rss_bytes() -> int:
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


def _windows_free_bytes() -> int:
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
