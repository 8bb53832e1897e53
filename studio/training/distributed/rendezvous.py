"""How the processes that torchrun started find each other, also after some were killed and started again.

torchrun keeps one store of addresses over all its restarts, in which those of killed processes still stand: a process
that is early would wait for a dead one. So the first process hands every other that is alive a word that no earlier
start had, and only what is stored under that word counts.
"""

import time
import uuid
from datetime import timedelta

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from studio.core.errors import StudioError

_POLL_SECONDS = 0.02


def restart_safe_rendezvous(timeout: timedelta) -> tuple[Store, int, int]:
    """A store for this start of the processes alone, this process's rank, and how many there are."""
    store, rank, size = next(iter(rendezvous("env://", timeout=timeout)))
    until = time.monotonic() + timeout.total_seconds()
    word = _distribute_token(store, size, until) if rank == 0 else _receive_token(store, rank, until)
    return PrefixStore(word, store), rank, size


def _distribute_token(store: Store, world_size: int, deadline: float) -> str:
    """Answer whoever greets, dead or alive, with a new word, until each rank has repeated it."""
    word, silent = uuid.uuid4().hex, set(range(1, world_size))
    while silent:
        for rank in tuple(silent):
            if _get_text(store, f"heard/{rank}") == word:
                silent.remove(rank)
            elif greeting := _get_text(store, f"greeting/{rank}"):
                store.set(f"answer/{rank}", f"{greeting} {word}")
        _poll(deadline)
    return word


def _receive_token(store: Store, rank: int, deadline: float) -> str:
    """Greet, wait for the answer to this very greeting, and repeat the word in it."""
    greeting, answer = uuid.uuid4().hex, ""
    store.set(f"greeting/{rank}", greeting)
    while not answer.startswith(greeting):
        _poll(deadline)
        answer = _get_text(store, f"answer/{rank}")
    word = answer.split()[1]
    store.set(f"heard/{rank}", word)
    return word


def _get_text(store: Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def _poll(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise StudioError("The other processes of this training did not come; start it again.")
    time.sleep(_POLL_SECONDS)
