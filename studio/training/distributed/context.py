"""The processes that train one run together, data-parallel: one batch is shared out, and gradients are averaged.

They are started by torchrun, on one host or several. A training alone is a team of one, for which nothing here costs
anything. Whatever decides how the training goes on is decided by all together, so that none waits for another in vain.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.peft.contract import AdaptedLayer
from studio.training.distributed.rendezvous import restart_safe_rendezvous

T = TypeVar("T")
_TIMEOUT = timedelta(hours=2)
"""One process may have to wait this long for the others, as for a slow disk; one that ended is noticed at once."""
_PEER_LOST_MESSAGE = (
    "Another process of this training ended, so this one did too; started again, the run goes on where it was."
)


class DistributedContext:
    """The ``world_size`` processes of a training, of which this one is ``rank``; the first is the main process."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size
        self._depth_generator = torch.Generator()

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the run and speaks to the user."""
        return self.rank == 0

    @property
    def is_single_process(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    def local_device(self, requested: str) -> str:
        """The device that this process takes where the recipe wants ``requested``: each has a GPU of its own."""
        if self.is_single_process or not requested.startswith(("auto", "cuda")):
            return requested
        if not torch.cuda.is_available():
            return "cpu" if requested == "auto" else requested
        here, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if here >= there:
            raise StudioError(f"This machine has {there} GPUs; start no more processes than that (--nproc-per-node).")
        torch.cuda.set_device(here)
        return f"cuda:{here}"

    def all_reduce_sum_scalars(self, values: Sequence[float]) -> list[float]:
        """Numbers added up over all processes."""
        return (
            list(values)
            if self.is_single_process
            else self.all_reduce_sum(torch.tensor(values, dtype=torch.float64)).tolist()
        )

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """A tensor on the CPU added up over all processes."""
        return values if self.is_single_process else _collective(lambda: _all_reduce(values.clone(), dist.ReduceOp.SUM))

    def any_rank(self, flags: Sequence[bool]) -> list[bool]:
        """Which of the flags any process has set."""
        if self.is_single_process:
            return list(flags)
        return (
            _collective(lambda: _all_reduce(torch.tensor(flags, dtype=torch.uint8), dist.ReduceOp.MAX)).bool().tolist()
        )

    def all_gather_object(self, value: Any) -> list[Any]:
        """A plain value (as in JSON) of every process, in the order of their ranks."""
        if self.is_single_process:
            return [value]
        return [json.loads(text) for text in _collective(lambda: _all_gather_text(json.dumps(value), self.world_size))]

    def broadcast_from_main(self, make: Callable[[], T]) -> T:
        """A plain value that the first process makes, for all; its StudioError is raised in all."""
        if self.is_single_process:
            return make()
        value, error = None, ""
        if self.is_main_process:
            try:
                value = make()
            except StudioError as failure:
                error = str(failure)
        made, failed = self.all_gather_object([value, error])[0]
        if failed:
            raise StudioError(failed)
        return made

    def seed_rank(self, seed: int, step: int) -> None:
        """Before a step: each process draws other random numbers (for dropout), decided by ``seed_rank`` and ``step``.

        So they need not be kept in a checkpoint. What all have to draw alike is left out (:meth:`sync_drop_depths`).
        """
        if not self.is_single_process:
            torch.manual_seed(_mix_seeds(seed, step, 1 + self.rank))
            self._depth_generator.manual_seed(_mix_seeds(seed, step, 0))

    def sync_drop_depths(self, module: nn.Module) -> None:
        """Let all processes draw the same random depths, so that they average gradients of the same graph."""
        for layer in () if self.is_single_process else module.modules():
            if isinstance(layer, AdaptedLayer):
                layer.draw_depths_from(self._depth_generator)

    def sync_control(self, control: TrainControl) -> TrainControl:
        """``sync_control`` for all: asked of one, a stop is heard by all at the same place."""
        return control if self.is_single_process else _SyncedControl(control, self)


class GradientSync:
    """Averages the gradients of ``parameters`` over all processes; construction copies their values from the first.

    It runs after the whole backward pass, because only then is it known whether the memory was enough in every process.
    Adapters are small, so the communication that could overlap with the backward pass is short.
    """

    def __init__(self, distributed: DistributedContext, parameters: Sequence[nn.Parameter]) -> None:
        self._distributed, self._parameters = distributed, parameters
        for parameter in () if distributed.is_single_process else parameters:
            _collective(partial(dist.broadcast, parameter.data, src=0))

    def __call__(self) -> None:
        """Average the gradients; one that no process has stays None."""
        if self._distributed.is_single_process:
            return
        used = self._distributed.any_rank([parameter.grad is not None for parameter in self._parameters])
        shared = [parameter for parameter, is_used in zip(self._parameters, used, strict=True) if is_used]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in shared])
        mean = _collective(lambda: _all_reduce(flat, dist.ReduceOp.SUM)) / self._distributed.world_size
        for parameter, grad in zip(shared, mean.split([p.numel() for p in shared]), strict=True):
            parameter.grad = grad.view_as(parameter)


class _SyncedControl(TrainControl):
    """A control whose questions go to all processes; so each of them has to ask at the same places."""

    def __init__(self, local: TrainControl, distributed: DistributedContext) -> None:
        super().__init__()
        self._local, self._distributed = local, distributed

    @property
    def stopping(self) -> bool:
        """Whether any process has been asked to stop."""
        if not self._stop_requested.is_set() and self._distributed.any_rank([self._local.stopping])[0]:
            self.stop()
        return self._stop_requested.is_set()

    @property
    def paused(self) -> bool:
        """Whether any process has been asked to wait."""
        return self._distributed.any_rank([self._local.paused])[0]

    def wait_tick(self) -> None:
        """The one that was asked waits a moment, and the others for it."""
        self._local.wait_tick()

    def pop_checkpoint_request(self) -> bool:
        """Whether any process was asked for a checkpoint since the last call."""
        return self._distributed.any_rank([self._local.pop_checkpoint_request()])[0]


def elastic_run_id() -> str:
    """The name of torchrun's start that this process belongs to, the same after a restart; empty without torchrun."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{name}-{os.getppid()}" if name == "none" else name


def elastic_restart_count() -> int:
    """How often torchrun has started the processes anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def init_distributed() -> Iterator[DistributedContext]:
    """The team that torchrun made this process part of; alone without it.

    Errors for the user leave by the first process alone; the others end with the same exit code and say nothing.
    """
    if not dist.is_available() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield DistributedContext()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = restart_safe_rendezvous(_TIMEOUT)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    team = DistributedContext(rank, size)
    try:
        yield team
    except StudioError:
        if team.is_main_process:
            raise
        raise SystemExit(2) from None
    finally:
        dist.destroy_process_group()


def _collective(exchange: Callable[[], T]) -> T:
    """Do something that needs all processes; StudioError where one is gone."""
    try:
        return exchange()
    except dist.DistError as error:
        raise StudioError(_PEER_LOST_MESSAGE) from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise StudioError(_PEER_LOST_MESSAGE) from error


def _all_reduce(values: Tensor, op: Any) -> Tensor:
    dist.all_reduce(values, op)
    return values


def _all_gather_text(text: str, world_size: int) -> list[str]:
    """Return a text from each process, by rank."""
    # Not all_gather_object(): it unpickles, so that one process could run code in another.
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size)]
    dist.all_gather(lengths, torch.tensor([len(content)]))
    most = int(max(lengths))
    room = [torch.zeros(most, dtype=torch.uint8) for _ in range(world_size)]
    dist.all_gather(room, nn.functional.pad(content, (0, most - len(content))))
    return [bytes(raw[: int(length)].tolist()).decode() for raw, length in zip(room, lengths, strict=True)]


def _mix_seeds(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) & (1 << 63) - 1
