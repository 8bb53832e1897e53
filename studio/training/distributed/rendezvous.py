"""Rendezvous of the processes that torchrun started, also after a restart.

The TCPStore that torchrun shares with its processes survives restarts (torch 2.14.1, ``dynamic_rendezvous.py``), and
``TORCHELASTIC_RESTART_COUNT`` differs between hosts after membership changes, so neither tells the keys of killed
processes from new ones. Therefore rank 0 gives every other live process a new token, and all keys are stored under it.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from studio.core.errors import StudioError

_POLL_SECONDS = 0.02


def restart_safe_rendezvous(timeout: timedelta) -> tuple[Store, int, int]:
    """Return a store for this start alone, the rank and the world size."""
    store, rank, size = next(iter(rendezvous("env://", timeout=timeout)))
    until = time.monotonic() + timeout.total_seconds()
    token = _distribute_token(store, size, until) if rank == 0 else _receive_token(store, rank, until)
    return PrefixStore(token, store), rank, size


def _distribute_token(store: Store, world_size: int, deadline: float) -> str:
    """Answer every greeting with a new token until each rank has repeated it."""
    token, silent = uuid.uuid4().hex, set(range(1, world_size))
    while silent:
        for rank in tuple(silent):
            if _get_text(store, f"heard/{rank}") == token:
                silent.remove(rank)
            elif greeting := _get_text(store, f"greeting/{rank}"):
                store.set(f"answer/{rank}", f"{greeting} {token}")
        _poll(deadline)
    return token


def _receive_token(store: Store, rank: int, deadline: float) -> str:
    """Greet, wait for the answer to this greeting, and repeat its token."""
    greeting, answer = uuid.uuid4().hex, ""
    store.set(f"greeting/{rank}", greeting)
    while not answer.startswith(greeting):
        _poll(deadline)
        answer = _get_text(store, f"answer/{rank}")
    token = answer.split()[1]
    store.set(f"heard/{rank}", token)
    return token


def _get_text(store: Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def _poll(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise StudioError("peer-timeout", "Timed out waiting for the other processes. Restart the job.")
    time.sleep(_POLL_SECONDS)
