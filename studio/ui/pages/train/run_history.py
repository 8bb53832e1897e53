"""Curves and state of a run, gathered from its events."""

import bisect
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from studio.core import events


def _float_array() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Curve:
    """Points of one line in step order, in arrays: there may be a million."""

    x: "array[float]" = field(default_factory=_float_array)
    y: "array[float]" = field(default_factory=_float_array)

    def add(self, x: float, y: float) -> None:
        """Append a point; after a rollback, drop the old points from ``x`` on."""
        if self.x and x <= self.x[-1]:
            keep = bisect.bisect_left(self.x, x)
            del self.x[keep:], self.y[keep:]
        self.x.append(x)
        self.y.append(y)

    def truncate(self, last: float) -> None:
        """Drop the points after ``last``."""
        keep = bisect.bisect_right(self.x, last)
        del self.x[keep:], self.y[keep:]

    def points(self) -> Iterator[tuple[float, float]]:
        """Return the points as pairs (x, y)."""
        return zip(self.x, self.y, strict=True)


@dataclass(slots=True)
class RunHistory:
    """State and curves of a run for the train page, filled by :meth:`apply`.

    ``data_wait_share`` is the share of the last epoch's time that was spent waiting for images. ``grad_norms`` are the
    last gradient norms by ``attachment/path``, ``with_gradient`` those keys that ever had a norm above zero.
    """

    started: events.Started | None = None
    ended: events.Finished | events.Error | None = None
    paused: bool = False
    step: int = 0
    epoch: int = 0
    current_lr: float = math.nan
    images_per_second: float = 0.0
    start_point: tuple[float, int] = (0.0, 0)
    paused_seconds: float = 0.0
    last_event_time: float = 0.0
    best_evaluation: events.Evaluation | None = None
    last_evaluation: events.Evaluation | None = None
    last_checkpoint: events.Checkpoint | None = None
    resource_estimate: events.ResourceEstimate | None = None
    usage: events.ResourceUsage | None = None
    data_wait_share: float = 0.0
    grad_norms: dict[str, float] = field(default_factory=dict)
    with_gradient: set[str] = field(default_factory=set)
    training_loss: Curve = field(default_factory=Curve)
    training_accuracy: Curve = field(default_factory=Curve)
    validation_loss: Curve = field(default_factory=Curve)
    validation_accuracy: Curve = field(default_factory=Curve)
    epoch_loss: Curve = field(default_factory=Curve)
    learning_rate: Curve = field(default_factory=Curve)
    throughput: Curve = field(default_factory=Curve)
    warnings: list[str] = field(default_factory=list)

    def apply(self, new: Iterable[events.Event]) -> None:
        """Add the events ``new``."""
        for event in new:
            if self.paused:
                self.paused_seconds += event.time - self.last_event_time
            self.last_event_time = event.time
            self._apply(event)

    def _apply(self, event: events.Event) -> None:
        match event:
            case events.Step():
                self._apply_step(event)
            case events.Epoch():
                self._apply_epoch(event)
            case events.Evaluation(split="validation"):
                self._apply_evaluation(event)
            case events.GradNorms():
                self.grad_norms = event.norms
                self.with_gradient.update(key for key, norm in event.norms.items() if norm > 0)
            case events.Checkpoint():
                self.last_checkpoint = event
            case events.Warning():
                self.warnings.append(event.text)
            case events.ResourceEstimate():
                self.resource_estimate = event
            case events.ResourceUsage():
                self.usage = event
            case _:
                self._apply_state(event)

    def _apply_state(self, event: events.Event) -> None:
        """Start, pause, resume or end the run."""
        match event:
            case events.Started():
                self.started, self.ended, self.paused = event, None, False
                self.step, self.start_point, self.paused_seconds = event.step, (event.time, event.step), 0.0
                self._truncate_after(event.step)
            case events.Paused():
                self.paused = True
            case events.Resumed():
                self.paused = False
            case events.Finished() | events.Error():
                self.ended, self.paused = event, False

    def _truncate_after(self, step: int) -> None:
        """Drop the steps after the checkpoint of a resume: they are repeated."""
        for curve in (
            self.training_loss,
            self.training_accuracy,
            self.validation_loss,
            self.validation_accuracy,
            self.epoch_loss,
            self.learning_rate,
            self.throughput,
        ):
            curve.truncate(step)
        if self.best_evaluation is not None and self.best_evaluation.step > step:
            self.best_evaluation = None

    def _apply_step(self, event: events.Step) -> None:
        self.step, self.epoch = event.step, event.epoch
        self.current_lr, self.images_per_second = event.learning_rate, event.images_per_second
        self.training_loss.add(event.step, event.loss)
        self.learning_rate.add(event.step, event.learning_rate)
        self.throughput.add(event.step, event.images_per_second)

    def _apply_epoch(self, event: events.Epoch) -> None:
        self.epoch, self.data_wait_share = event.epoch, event.waited / event.seconds if event.seconds else 0.0
        self.training_accuracy.add(event.step, event.accuracy)
        self.epoch_loss.add(event.step, event.loss)

    def _apply_evaluation(self, event: events.Evaluation) -> None:
        self.last_evaluation = event
        self.best_evaluation = event if event.best else self.best_evaluation
        self.validation_loss.add(event.step, event.loss)
        self.validation_accuracy.add(event.step, event.accuracy)

    @property
    def steps_per_epoch(self) -> float:
        """Optimizer steps per epoch; 1 while unknown."""
        return self.started.steps / self.started.epochs if self.started and self.started.steps else 1.0

    @property
    def progress(self) -> float:
        """Completed share of all steps, in [0, 1]."""
        return self.step / self.started.steps if self.started and self.started.steps else 0.0

    @property
    def without_gradient(self) -> frozenset[str]:
        """Keys ``attachment/path`` whose gradient norm has always been zero."""
        return frozenset(self.grad_norms) - self.with_gradient

    @property
    def seconds_left(self) -> float:
        """Seconds left, estimated from the steps since the last start without pauses.

        NaN before the first step.
        """
        since, first = self.start_point
        done = self.step - first
        if self.started is None or done <= 0:
            return math.nan
        return (self.last_event_time - since - self.paused_seconds) / done * (self.started.steps - self.step)
