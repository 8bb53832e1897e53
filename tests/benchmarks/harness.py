"""What benchmarks are made of: a measured figure with a bar, and ratios that hold on a busy machine.

Time is the processor's time of this process on one thread, so that what else runs on the machine counts little.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with what it was made of, for the report."""

    value: float
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A figure to measure. ``at_least`` says which side of ``bar`` is the good one; without a bar it is told alone."""

    name: str
    unit: str
    bar: float | None
    at_least: bool
    measure: Callable[[], float | Measured]

    def passes(self, value: float) -> bool:
        """Whether ``value`` is on the good side of the bar."""
        if self.bar is None:
            return True
        return value >= self.bar if self.at_least else value <= self.bar


Measure = TypeVar("Measure", bound=Callable[[], float | Measured])
BENCHMARKS: list[Benchmark] = []
ROUNDS = 5
"""Calls of each contender that are timed."""


def benchmark(
    name: str, unit: str, *, at_least: float | None = None, at_most: float | None = None
) -> Callable[[Measure], Measure]:
    """Decorator: register a function that measures a figure in ``unit``, with the bar that it is held to, if any."""
    bar = at_least if at_most is None else at_most

    def registered(measure: Measure) -> Measure:
        BENCHMARKS.append(Benchmark(name, unit, bar, at_most is None, measure))
        return measure

    return registered


def seconds(step: Step) -> float:
    """Processor time of one call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def speed_ratio(ours: Step, theirs: Step) -> float:
    """How many times faster ``ours`` is: the median of the ratios of neighbouring calls, after one call of each."""
    ours(), theirs()
    return statistics.median(_neighbours(ours, theirs, ROUNDS))


def _neighbours(ours: Step, theirs: Step, rounds: int) -> Iterator[float]:
    """One ratio a round, each of two taking its turn to go first."""
    for index in range(rounds):
        if index % 2:
            mine = seconds(ours)
            yield seconds(theirs) / mine
        else:
            other = seconds(theirs)
            yield other / seconds(ours)


def best_seconds(step: Step) -> float:
    """The shortest of several calls, after a first one."""
    step()
    return min(seconds(step) for _ in range(ROUNDS))
