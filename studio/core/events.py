"""What a run says while it goes on: one event a line in ``events.jsonl``."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run. ``time`` is in seconds since 1970."""

    kind: ClassVar[str]
    time: float = field(default_factory=time.time)

    def to_json(self) -> str:
        """One line of JSON; NaN and infinity become null."""
        values = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}
        return json.dumps({"event": self.kind, **values}, ensure_ascii=False)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Rebuild from the values of :meth:`to_json`; unknown keys, of a newer version, are left out."""
        known = {f.name: f.type for f in fields(cls)}
        return cls(**{k: math.nan if v is None and known[k] is float else v for k, v in raw.items() if k in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEstimate(Event):
    """What a training is expected to take, from a few real steps before it.

    Memory is what it adds to the process at most, or on a GPU takes of it. An epoch's seconds are the mean over all
    epochs, with validation, checkpoints and what is computed once.
    """

    kind: ClassVar[str] = "preflight"
    peak_memory_bytes: int
    seconds_per_epoch: float
    seconds_per_step: float
    batch_size: int
    trainable: int
    device: str
    available_memory_bytes: int

    @property
    def measured_at(self) -> str:
        """When, as local time in ISO format."""
        return datetime.fromtimestamp(self.time).astimezone().isoformat(timespec="seconds")

    @property
    def fits_in_memory(self) -> bool:
        """Whether there was memory enough."""
        return self.peak_memory_bytes <= self.available_memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUsage(Event):
    """What a training really took, in the figures of :class:`ResourceEstimate`."""

    kind: ClassVar[str] = "usage"
    peak_memory_bytes: int
    seconds_per_epoch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """Training begins, or goes on from ``step``."""

    kind: ClassVar[str] = "started"
    step: int
    steps: int
    epochs: int
    training_images: int
    validation_images: int
    trainable_parameters: int
    total_parameters: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """One optimiser step: mean loss of the batch, images a second and seconds waited for images since the last step."""

    kind: ClassVar[str] = "step"
    step: int
    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(Event):
    """The end of an epoch (counted from 1): means over its training images, which were seen in training mode."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    loss: float
    accuracy: float
    seconds: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Event):
    """Loss and accuracy in [0, 1] over a whole split; ``best`` where it is the best of the run so far."""

    kind: ClassVar[str] = "evaluation"
    epoch: int
    step: int
    split: str
    loss: float
    accuracy: float
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A checkpoint is complete on disk."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """The run waits, with a checkpoint, until it is asked to go on."""

    kind: ClassVar[str] = "paused"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A paused run goes on in the same process."""

    kind: ClassVar[str] = "resumed"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GradNorms(Event):
    """Norm of the gradient at each place where something is attached, by ``attachment/path``; now and then."""

    kind: ClassVar[str] = "movement"
    step: int
    norms: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning(Event):  # noqa: A001 - the contract's word
    """Something the user should know; the run goes on."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """The run ended by itself, with the reason in one sentence."""

    kind: ClassVar[str] = "error"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The run ended in good order: ``reason`` is "completed" or "stopped" (and can be resumed).

    Of its ``seconds`` so many were ``waited`` for images.
    """

    kind: ClassVar[str] = "finished"
    step: int
    reason: str
    seconds: float
    best_accuracy: float
    best_epoch: int
    waited: float = 0.0


_KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        ResourceEstimate,
        ResourceUsage,
        Started,
        Step,
        Epoch,
        Evaluation,
        Checkpoint,
        Paused,
        Resumed,
        GradNorms,
        Warning,
        Error,
        Finished,
    )
}


def parse_event(line: str | bytes) -> Event | None:
    """The event on one line of ``events.jsonl``; None for a broken line or a kind of a newer version."""
    try:
        raw = json.loads(line)
        return _KINDS[raw.pop("event")].from_mapping(raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
