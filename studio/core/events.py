"""The events of a run: one line of JSON each in ``events.jsonl``."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self

from studio.core.messages import Message, restore_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run. ``time`` is in seconds since 1970."""

    kind: ClassVar[str]
    time: float = field(default_factory=time.time)

    def to_json(self) -> str:
        """Return one line of JSON; NaN and infinity become null.

        A text that is a Message keeps its template and values beside it, under "message".
        """
        values = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}
        text = getattr(self, "text", None)
        extra = {"message": text.to_json()} if isinstance(text, Message) else {}
        return json.dumps({"event": self.kind, **values, **extra}, ensure_ascii=False)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Rebuild from the values of :meth:`to_json`; unknown keys are left out."""
        known = {f.name: f.type for f in fields(cls)}
        values: dict[str, Any] = {
            k: math.nan if v is None and known[k] is float else v for k, v in raw.items() if k in known
        }
        if isinstance(values.get("text"), str):
            values["text"] = restore_message(values["text"], raw.get("message"))
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEstimate(Event):
    """The memory and time that a training is expected to need, from a few real steps.

    Memory is the peak that it adds to the process, or on a GPU the peak that it takes there. An epoch's seconds are the
    mean over all epochs, with validation, checkpoints and what is computed once.
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
        """Local time of the measurement in ISO format."""
        return datetime.fromtimestamp(self.time).astimezone().isoformat(timespec="seconds")

    @property
    def fits_in_memory(self) -> bool:
        """Whether the peak is within the memory available."""
        return self.peak_memory_bytes <= self.available_memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUsage(Event):
    """The memory and time that a training took, as in :class:`ResourceEstimate`."""

    kind: ClassVar[str] = "usage"
    peak_memory_bytes: int
    seconds_per_epoch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """Training begins, or resumes from ``step``."""

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
    """One optimizer step: the mean loss and accuracy of the batch.

    ``waited`` are the seconds since the last step that were spent waiting for images.
    """

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
    """The end of an epoch, counted from 1: means over its images in training mode."""

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    loss: float
    accuracy: float
    seconds: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Event):
    """Loss and accuracy in [0, 1] over a split; ``best`` marks the best so far."""

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
    """The run waits, with a checkpoint, until it is resumed."""

    kind: ClassVar[str] = "paused"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A paused run continues in the same process."""

    kind: ClassVar[str] = "resumed"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GradNorms(Event):
    """Gradient norms of the attached layers, by ``attachment/path``; at some steps."""

    kind: ClassVar[str] = "movement"
    step: int
    norms: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning(Event):  # noqa: A001 - the contract's word
    """Something that the user should know; the run continues."""

    kind: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """The run failed; ``code`` is that of the StudioError, empty if unknown."""

    kind: ClassVar[str] = "error"
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The run ended: ``reason`` is "completed", or "stopped" and can be resumed.

    ``waited`` are those of its ``seconds`` that were spent waiting for images.
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
    """Return the event of a line; None if it is broken or of an unknown kind."""
    try:
        raw = json.loads(line)
        return _KINDS[raw.pop("event")].from_mapping(raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
