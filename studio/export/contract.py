"""What an exporter is: one file here, or a plugin of the entry-point group ``peft_studio.exporters``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, get_args

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.paths import resource
from studio.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from studio.core.recipe import Recipe
    from studio.core.run import Run
    from studio.data.transforms.preprocessing import Preprocessing
    from studio.peft import AdaptedModel
    from studio.peft.contract import Method

SCRIPTS_DIR = resource("export")
"""Files that are copied into exports; they know nothing of this program."""


Precision = Literal["float32", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""How weights are stored. Either way everything is computed in float32, so float16 halves the files and no more."""


def parse_precision(name: str) -> Precision:
    """The precision called ``name``; StudioError where there is none."""
    found = next((precision for precision in PRECISIONS if precision == name), None)
    if found is None:
        raise StudioError(f"Weights are stored as {' or '.join(PRECISIONS)}, not as {name}.")
    return found


@dataclass(frozen=True, slots=True)
class ExportSource:
    """What is exported: a run's best adapter on its backbone, in evaluation mode, with labels and preprocessing.

    ``weights_digest`` is the hash of the backbone's own weights; ``precision`` is what the export stores weights in.
    """

    run: Run
    recipe: Recipe
    model: AdaptedModel
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights_digest: str
    precision: Precision = "float32"

    def to_stored(self, tensor: Tensor) -> Tensor:
        """A tensor as the export stores it: on the CPU, in one piece, and in its precision if it has a fraction."""
        plain = tensor.detach().cpu().contiguous()
        return plain.half() if self.precision == "float16" and plain.is_floating_point() else plain


@dataclass(frozen=True, slots=True)
class Verification:
    """The export, loaded again from disk in a fresh process, against the live model, on real validation images.

    ``largest_difference`` is over all logits of all images; ``agreement`` the share of them with the same best class;
    ``largest_logit`` the live model's, by absolute value, from which ``tolerance`` is made.
    """

    largest_difference: float
    agreement: float
    images: int
    tolerance: float
    largest_logit: float
    loaded_with: str
    precision: Precision = "float32"

    @property
    def passed(self) -> bool:
        """Whether the difference is a number within the tolerance."""
        return self.largest_difference <= self.tolerance

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class Exporter(ABC):
    """One kind of export. One instance is registered; it keeps no state."""

    name: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    marker_file: ClassVar[str]
    """The file by which a folder of this kind is known."""
    predict_script: ClassVar[Path]
    """The ``predict.py`` of the folder: it defines ``logits(paths)`` and runs by itself."""
    required_packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages that writing takes, by import name; they come with the extra of the exporter's name."""
    verify_packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages that ``predict_script`` takes; without them the folder is verified through :meth:`load`."""
    relative_tolerance: ClassVar[float] = 1e-5
    """Allowed difference of logits, in units of the largest logit (at least 1)."""
    float16_relative_tolerance: ClassVar[float] = 5e-3
    """The same for weights in float16, each rounded by up to 1 in 2,000: through timm's families that is up to 2e-3."""

    def tolerance(self, source: ExportSource, largest_logit: float) -> float:
        """The allowed difference of logits, the largest of which is ``largest_logit`` by absolute value."""
        halves = source.precision == "float16"
        return (self.float16_relative_tolerance if halves else self.relative_tolerance) * max(1.0, largest_logit)

    def unsupported_reason(self, method: Method[Any]) -> str:
        """Why attachments of ``method`` cannot be exported in this form, in one sentence; empty where they can."""
        return ""

    @abstractmethod
    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the weights and what belongs to them into ``folder``; StudioError where the run does not allow it."""

    @abstractmethod
    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """The export as a function from images (N, 3, height, width) to logits (N, classes)."""


def _import_builtin() -> None:
    from studio.export import adapter, merged, onnx, peft, torch_program  # noqa: F401 - they register themselves


exporters: Registry[Exporter] = Registry(N_("export format"), "peft_studio.exporters", _import_builtin)

E = TypeVar("E", bound=type[Exporter])


def register(cls: E) -> E:
    """Class decorator: add an exporter to the registry."""
    exporters.register(cls())
    return cls


def formats_for(method: Method[Any]) -> list[str]:
    """The names of the exporters that take ``method``."""
    return [exporter.name for exporter in exporters if not exporter.unsupported_reason(method)]
