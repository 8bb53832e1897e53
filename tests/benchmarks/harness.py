"""Registration of benchmarks with their limits, and time ratios that are stable on a busy machine.

Times are CPU time of this process on one thread, so that other processes have little effect.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """A result with the measurements behind it, for the report."""

    value: float
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A result to measure. ``bar`` is its lower limit if ``at_least``, else its upper limit; None is no limit."""

    name: str
    unit: str
    bar: float | None
    at_least: bool
    measure: Callable[[], float | Measured]

    def passes(self, value: float) -> bool:
        """Return whether ``value`` is within the limit."""
        if self.bar is None:
            return True
        return value >= self.bar if self.at_least else value <= self.bar


Measure = TypeVar("Measure", bound=Callable[[], float | Measured])
BENCHMARKS: list[Benchmark] = []
ROUNDS = 5
"""Timed calls of each of the compared functions."""


def benchmark(
    name: str, unit: str, *, at_least: float | None = None, at_most: float | None = None
) -> Callable[[Measure], Measure]:
    """Return a decorator that registers a function that measures a value in ``unit``, with its limit if any."""
    bar = at_least if at_most is None else at_most

    def registered(measure: Measure) -> Measure:
        BENCHMARKS.append(Benchmark(name, unit, bar, at_most is None, measure))
        return measure

    return registered


def seconds(step: Step) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def speed_ratio(ours: Step, theirs: Step) -> float:
    """Return how many times faster ``ours`` is.

    It is the median of the ratios of adjacent calls, after one warm-up call of each.
    """
    ours(), theirs()
    return statistics.median(_adjacent_ratios(ours, theirs, ROUNDS))


def _adjacent_ratios(ours: Step, theirs: Step, rounds: int) -> Iterator[float]:
    """Yield the ratio of each round; the two alternate in running first."""
    for index in range(rounds):
        if index % 2:
            mine = seconds(ours)
            yield seconds(theirs) / mine
        else:
            other = seconds(theirs)
            yield other / seconds(ours)


def best_seconds(step: Step) -> float:
    """Return the CPU time of the fastest of several calls, after a warm-up call."""
    step()
    return min(seconds(step) for _ in range(ROUNDS))
