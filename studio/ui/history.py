"""A run's events gathered into curves, as far as they have been read."""

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from studio.core import events


@dataclass(slots=True)
class Curve:
    """Points of one line, in step order."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        """Append a point; one that was there already, as training went back since, gives way with all after it."""
        if self.x and x <= self.x[-1]:
            keep = bisect.bisect_left(self.x, x)
            del self.x[keep:], self.y[keep:]
        self.x.append(x)
        self.y.append(y)

    def cut(self, last: float) -> None:
        """Drop the points after ``last``."""
        keep = bisect.bisect_right(self.x, last)
        del self.x[keep:], self.y[keep:]


@dataclass(slots=True)
class History:
    """Everything that the train page shows of a run. Filled by :meth:`take`."""

    started: events.Started | None = None
    ended: events.Finished | events.Error | None = None
    step: int = 0
    epoch: int = 0
    rate: float = math.nan
    images_per_second: float = 0.0
    began: tuple[float, int] = (0.0, 0)
    now: float = 0.0
    best: events.Evaluation | None = None
    last: events.Evaluation | None = None
    training_loss: Curve = field(default_factory=Curve)
    training_accuracy: Curve = field(default_factory=Curve)
    validation_loss: Curve = field(default_factory=Curve)
    validation_accuracy: Curve = field(default_factory=Curve)
    learning_rate: Curve = field(default_factory=Curve)
    notes: list[str] = field(default_factory=list)

    def take(self, new: Iterable[events.Event]) -> None:
        """Add events that were read."""
        for event in new:
            self.now = event.time
            self._take(event)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.Started():
                self.started, self.ended = event, None
                self.step, self.began = event.step, (event.time, event.step)
                self._forget_after(event.step)
            case events.Step():
                self._take_step(event)
            case events.Epoch():
                self.epoch = event.epoch
                self.training_accuracy.add(event.step, event.accuracy)
            case events.Evaluation(split="validation"):
                self._take_evaluation(event)
            case events.Warning():
                self.notes.append(event.text)
            case events.Finished() | events.Error():
                self.ended = event

    def _forget_after(self, step: int) -> None:
        """Drop what a killed run had written after the checkpoint that it goes on from: it does those steps again."""
        for curve in (
            self.training_loss,
            self.training_accuracy,
            self.validation_loss,
            self.validation_accuracy,
            self.learning_rate,
        ):
            curve.cut(step)
        if self.best is not None and self.best.step > step:
            self.best = None

    def _take_step(self, event: events.Step) -> None:
        self.step, self.epoch = event.step, event.epoch
        self.rate, self.images_per_second = event.learning_rate, event.images_per_second
        self.training_loss.add(event.step, event.loss)
        self.learning_rate.add(event.step, event.learning_rate)

    def _take_evaluation(self, event: events.Evaluation) -> None:
        self.last = event
        self.best = event if event.best else self.best
        self.validation_loss.add(event.step, event.loss)
        self.validation_accuracy.add(event.step, event.accuracy)

    @property
    def progress(self) -> float:
        """Share of all steps that are done, in [0, 1]."""
        return self.step / self.started.steps if self.started and self.started.steps else 0.0

    @property
    def seconds_left(self) -> float:
        """Estimate from the steps since this start; NaN before there are any."""
        since, first = self.began
        done = self.step - first
        if self.started is None or done <= 0:
            return math.nan
        return (self.now - since) / done * (self.started.steps - self.step)
