"""Data-parallel training: each process computes a shard of the batch.

torchrun starts the processes, on one host or several. With a single process nothing here communicates. All decisions
about control flow are made by all processes together, so that none waits for another in vain.
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
from studio.core.messages import N_n
from studio.peft.contract import AdaptedLayer
from studio.training.distributed.rendezvous import restart_safe_rendezvous

T = TypeVar("T")
_TIMEOUT = timedelta(hours=2)
"""Time to wait for a slow process; a process that ended is noticed at once."""


class DistributedContext:
    """The rank of this process and the world size; the main process writes."""

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank, self.world_size = rank, world_size
        self._depth_generator = torch.Generator()

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the run and its output."""
        return self.rank == 0

    @property
    def is_single_process(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    def local_device(self, requested: str) -> str:
        """Return the device of this process; each has its own GPU."""
        if self.is_single_process or not requested.startswith(("auto", "cuda")):
            return requested
        if not torch.cuda.is_available():
            return "cpu" if requested == "auto" else requested
        local_rank, num_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local_rank >= num_gpus:
            raise StudioError(
                "too-many-processes",
                N_n(
                    "This machine has {n} GPU, but more processes. Reduce --nproc-per-node.",
                    "This machine has {n} GPUs, but more processes. Reduce --nproc-per-node.",
                    num_gpus,
                ),
            )
        torch.cuda.set_device(local_rank)
        return f"cuda:{local_rank}"

    def all_reduce_sum_scalars(self, values: Sequence[float]) -> list[float]:
        """Return numbers summed over all processes."""
        return (
            list(values)
            if self.is_single_process
            else self.all_reduce_sum(torch.tensor(values, dtype=torch.float64)).tolist()
        )

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return a CPU tensor summed over all processes."""
        return values if self.is_single_process else _collective(lambda: _all_reduce(values.clone(), dist.ReduceOp.SUM))

    def any_rank(self, flags: Sequence[bool]) -> list[bool]:
        """Return which of the flags any process has set."""
        if self.is_single_process:
            return list(flags)
        return (
            _collective(lambda: _all_reduce(torch.tensor(flags, dtype=torch.uint8), dist.ReduceOp.MAX)).bool().tolist()
        )

    def all_gather_object(self, value: Any) -> list[Any]:
        """Return a JSON value from each process, by rank."""
        if self.is_single_process:
            return [value]
        return [json.loads(text) for text in _collective(lambda: _all_gather_text(json.dumps(value), self.world_size))]

    def broadcast_from_main(self, make: Callable[[], T]) -> T:
        """Return the JSON value that rank 0 makes; raise its StudioError everywhere."""
        if self.is_single_process:
            return make()
        value, error = None, None
        if self.is_main_process:
            try:
                value = make()
            except StudioError as failure:
                error = failure
        value, failed = self.all_gather_object([value, str(error or "")])[0]
        if failed:
            raise error or StudioError("main-process-failed", "The main process failed: {reason}", reason=failed)
        return value

    def seed_rank(self, seed: int, step: int) -> None:
        """Seed the generators for a step, so that dropout differs between ranks.

        It depends on ``seed``, ``step`` and rank, so that no generator state needs saving. Depths, which all ranks must
        draw alike, have a generator of their own (:meth:`sync_drop_depths`).
        """
        if not self.is_single_process:
            torch.manual_seed(_mix_seeds(seed, step, 1 + self.rank))
            self._depth_generator.manual_seed(_mix_seeds(seed, step, 0))

    def sync_drop_depths(self, module: nn.Module) -> None:
        """Let all processes draw the same random depths.

        Otherwise gradients of different graphs are averaged.
        """
        for layer in () if self.is_single_process else module.modules():
            if isinstance(layer, AdaptedLayer):
                layer.draw_depths_from(self._depth_generator)

    def sync_control(self, control: TrainControl) -> TrainControl:
        """Return a control whose stops and pauses reach all processes alike."""
        return control if self.is_single_process else _SyncedControl(control, self)


class GradientSync:
    """Averages gradients over all processes; construction copies rank 0's values.

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
    """A control shared by all processes, which must query it at the same points."""

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
        """Whether any process has been asked to pause."""
        return self._distributed.any_rank([self._local.paused])[0]

    def wait_tick(self) -> None:
        """Wait for a moment in the process that was asked to pause."""
        self._local.wait_tick()

    def pop_checkpoint_request(self) -> bool:
        """Return whether any process was asked for a checkpoint since the last call."""
        return self._distributed.any_rank([self._local.pop_checkpoint_request()])[0]


def elastic_run_id() -> str:
    """Return torchrun's run id, the same after a restart; "" without torchrun."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{name}-{os.getppid()}" if name == "none" else name


def elastic_restart_count() -> int:
    """Return the number of restarts by torchrun."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def init_distributed() -> Iterator[DistributedContext]:
    """Initialize the process group of torchrun; without it yield a single process.

    Only rank 0 raises a StudioError; the other processes exit with the same code and no output.
    """
    if not dist.is_available() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield DistributedContext()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = restart_safe_rendezvous(_TIMEOUT)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    context = DistributedContext(rank, size)
    try:
        yield context
    except StudioError:
        if context.is_main_process:
            raise
        raise SystemExit(2) from None
    finally:
        dist.destroy_process_group()


def _collective(exchange: Callable[[], T]) -> T:
    """Run a collective operation; raise StudioError if another process ended."""
    try:
        return exchange()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # torch's DistError is one too
        raise StudioError(
            "peer-lost", "Another process of this job ended. Restart the job to resume the run."
        ) from error


def _all_reduce(values: Tensor, op: Any) -> Tensor:
    dist.all_reduce(values, op)
    return values


def _all_gather_text(text: str, world_size: int) -> list[str]:
    """Return a text from each process, by rank."""
    # Not all_gather_object(): it unpickles, so that one process could run code in another.
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size)]
    dist.all_gather(lengths, torch.tensor([len(content)]))
    longest = int(max(lengths))
    padded = [torch.zeros(longest, dtype=torch.uint8) for _ in range(world_size)]
    dist.all_gather(padded, nn.functional.pad(content, (0, longest - len(content))))
    return [bytes(raw[: int(length)].tolist()).decode() for raw, length in zip(padded, lengths, strict=True)]


def _mix_seeds(*numbers: int) -> int:
    """Return one seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) & (1 << 63) - 1
