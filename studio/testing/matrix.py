"""Which method goes on which family: ``python -m studio.testing.matrix [NAME...]`` prints it."""

import sys
from collections.abc import Iterator, Sequence

from studio.peft import METHODS
from studio.testing.cases import Outcome, case_outcome
from studio.testing.families import FAMILIES


def matrix_lines(methods: Sequence[str]) -> Iterator[str]:
    """A table with a row for each method, then every refusal and failure in words."""
    width = max(map(len, methods), default=0)
    yield "  ".join([" " * width, *FAMILIES])
    for method in methods:
        marks = (_mark(case_outcome(method, family)).center(len(family)) for family in FAMILIES)
        yield "  ".join([method.ljust(width), *marks]).rstrip()
    yield "+ attached, - refused, ! failed"
    yield from (text for method in methods for text in _reasons(method))


def _mark(found: Outcome) -> str:
    return "!" if found.failure else "-" if found.refusal is not None else "+"


def _reasons(method: str) -> Iterator[str]:
    """One line for each reason, with the families that it was given for."""
    families: dict[str, list[str]] = {}
    for found in (case_outcome(method, family) for family in FAMILIES):
        if found.failure:
            families.setdefault(f"failed with {found.failure!r}", []).append(found.case.family)
        elif found.refusal is not None:
            families.setdefault(found.refusal, []).append(found.case.family)
    return (f"{method} on {', '.join(names)}: {reason}" for reason, names in families.items())


if __name__ == "__main__":
    print("\n".join(matrix_lines(sys.argv[1:] or [method.name for method in METHODS])))  # noqa: T201
