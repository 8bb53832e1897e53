"""Which method meets which family, and with which fields: what the contract tests are parametrised over."""

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
    """A method on the small backbone of a family, with some fields other than their defaults.

    It is where it goes by default, or ``everywhere``: on each layer that it does not refuse.
    """

    method: str
    family: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    all_layers: bool = False

    def __str__(self) -> str:
        return "-".join([self.method, self.family, *(f"{k}={v}" for k, v in self.overrides.items())])

    @property
    def attachment(self) -> Attachment:
        """What a drop of the method on the backbone means; StudioError with the reason where it is refused."""
        fields = {**example_fields(self.method, self.family), **self.overrides}
        found = default_attachment(METHODS.get(self.method), backbone_layers(self.family), config=fields)
        return found.model_copy(update={"at": ("**",), "slices": ()}) if self.all_layers else found

    def require_attachment(self) -> None:
        """Raise StudioError with the reason where the method is refused."""
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
    """What came of a case: a sentence where the method refuses the family, an exception where the attempt failed."""

    case: Case
    refusal: str | None = None
    failure: Exception | None = None


@cache
def case_outcome(method: str, family: str) -> Outcome:
    """Ask a method whether it goes on a family."""
    case = Case(method, family)
    try:
        case.require_attachment()
    except StudioError as error:
        return Outcome(case, refusal=str(error))
    except Exception as error:  # a stranger's method may raise anything, and the tests are to show it
        return Outcome(case, failure=error)
    return Outcome(case)


def outcomes(methods: Iterable[str]) -> Iterator[Outcome]:
    """Every method on every family."""
    return (case_outcome(method, family) for method in methods for family in FAMILIES)


def accepted(methods: Iterable[str]) -> list[Case]:
    """The cases to test, those that failed among them: running them shows how."""
    return [found.case for found in outcomes(methods) if found.refusal is None]


def on_all_layers(methods: Iterable[str]) -> list[Case]:
    """The accepted cases, each on every layer that the method does not refuse."""
    return [replace(case, all_layers=True) for case in accepted(methods)]


def first_accepted(methods: Iterable[str]) -> list[Case]:
    """The first family that each method goes on."""
    return [case for method in methods for case in accepted([method])[:1]]


def variants(methods: Iterable[str]) -> list[Case]:
    """Each method at home with one choice or switch of its fields set to something other than the default."""
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
