"""The families that each method supports: ``python -m studio.testing.matrix [NAME...]`` prints them."""

import sys
from collections.abc import Iterator, Sequence

from studio.peft import METHODS
from studio.testing.cases import Outcome, case_outcome
from studio.testing.families import FAMILIES


def matrix_lines(methods: Sequence[str]) -> Iterator[str]:
    """Yield a table with a row for each method, then the reasons of all unsupported families and failures."""
    width = max(map(len, methods), default=0)
    yield "  ".join([" " * width, *FAMILIES])
    for method in methods:
        marks = (_mark(case_outcome(method, family)).center(len(family)) for family in FAMILIES)
        yield "  ".join([method.ljust(width), *marks]).rstrip()
    yield "+ attached, - unsupported, ! failed"
    yield from (text for method in methods for text in _reasons(method))


def _mark(outcome: Outcome) -> str:
    return "!" if outcome.failure else "-" if outcome.refusal is not None else "+"


def _reasons(method: str) -> Iterator[str]:
    """Yield one line for each reason, with its families."""
    families: dict[str, list[str]] = {}
    for outcome in (case_outcome(method, family) for family in FAMILIES):
        if outcome.failure:
            families.setdefault(f"failed with {outcome.failure!r}", []).append(outcome.case.family)
        elif outcome.refusal is not None:
            families.setdefault(outcome.refusal, []).append(outcome.case.family)
    return (f"{method} on {', '.join(names)}: {reason}" for reason, names in families.items())


if __name__ == "__main__":
    print("\n".join(matrix_lines(sys.argv[1:] or [method.name for method in METHODS])))  # noqa: T201
