"""The cases of the contract tests: methods, backbone families, and fields."""

import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from torch import nn

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.peft import METHODS, AdaptedModel, Method, attach
from studio.peft.targets import default_attachment
from studio.testing.examples import example_fields
from studio.testing.families import FAMILIES, backbone_layers, build_backbone, build_on_meta
from studio.testing.observing import train_briefly


@dataclass(frozen=True)
class Case:
    """A method on the small backbone of a family, with ``overrides`` of its default fields.

    It is attached to its default sites, or with ``all_layers`` to every layer that it supports.
    """

    method: str
    family: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    all_layers: bool = False

    def __str__(self) -> str:
        return "-".join([self.method, self.family, *(f"{k}={v}" for k, v in self.overrides.items())])

    @property
    def attachment(self) -> Attachment:
        """The attachment of a drop of the method on the backbone; StudioError with the reason if it is unsupported."""
        fields = {**example_fields(self.method, self.family), **self.overrides}
        attachment = default_attachment(METHODS.get(self.method), backbone_layers(self.family), config=fields)
        return attachment.model_copy(update={"at": ("**",), "slices": ()}) if self.all_layers else attachment

    def require_attachment(self) -> None:
        """Raise StudioError with the reason if the method is unsupported."""
        _ = self.attachment

    def attach(self, *, meta: bool = False) -> AdaptedModel:
        """Attach to a new backbone."""
        return self.attach_to(build_on_meta(self.family) if meta else build_backbone(self.family))

    def trained(self) -> AdaptedModel:
        """Attach to a new backbone and train a few steps; in evaluation mode."""
        return train_briefly(self.attach(), self.family)

    def attach_to(self, module: nn.Module) -> AdaptedModel:
        """Attach to ``module``, the backbone of the family."""
        return attach(module, [self.attachment])


@dataclass(frozen=True)
class Outcome:
    """The result of a case: the reason if the family is unsupported, or an unexpected exception."""

    case: Case
    refusal: str | None = None
    failure: Exception | None = None


@cache
def case_outcome(method: str, family: str) -> Outcome:
    """Try a method on a family."""
    case = Case(method, family)
    try:
        case.require_attachment()
    except StudioError as error:
        return Outcome(case, refusal=str(error))
    except Exception as error:  # a plugin's method may raise anything, which the tests must show
        return Outcome(case, failure=error)
    return Outcome(case)


def outcomes(methods: Iterable[str]) -> Iterator[Outcome]:
    """Yield the outcome of every method on every family."""
    return (case_outcome(method, family) for method in methods for family in FAMILIES)


def accepted(methods: Iterable[str]) -> list[Case]:
    """Return the cases to test, including failed ones, whose tests show the failure."""
    return [outcome.case for outcome in outcomes(methods) if outcome.refusal is None]


def on_all_layers(methods: Iterable[str]) -> list[Case]:
    """Return the accepted cases, each on every layer that the method supports."""
    return [replace(case, all_layers=True) for case in accepted(methods)]


def first_accepted(methods: Iterable[str]) -> list[Case]:
    """Return the first family that each method supports."""
    return [case for method in methods for case in accepted([method])[:1]]


def sampled(methods: Iterable[str]) -> list[Case]:
    """Return one case per method, or all with ``FULL_MATRIX`` set: for properties that hardly depend on the family."""
    return accepted(methods) if "FULL_MATRIX" in os.environ else first_accepted(methods)


def variants(methods: Iterable[str]) -> list[Case]:
    """Return each method on its first family, with one choice or switch different from the default."""
    return [
        Case(case.method, case.family, {name: value})
        for case in first_accepted(methods)
        for name, value in _alternatives(METHODS.get(case.method))
    ]


def _alternatives(method: Method[Any]) -> Iterator[tuple[str, Any]]:
    for name, info in method.Config.model_fields.items():
        choices = (True, False) if info.annotation is bool else typing.get_args(info.annotation)
        if info.annotation is bool or typing.get_origin(info.annotation) is typing.Literal:
            yield from ((name, choice) for choice in choices if choice != info.default)
