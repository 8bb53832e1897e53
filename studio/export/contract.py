"""Contract and registry of exporters.

Each file in this package may add one export format. A plugin adds its own by an entry point in the group
``peft_studio.exporters``, which has the name of the format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, get_args

from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.core.paths import resource
from studio.core.registry import Registry, import_package

if TYPE_CHECKING:
    from torch import Tensor

    from studio.core.recipe import Recipe
    from studio.core.run import Run
    from studio.data.transforms.preprocessing import Preprocessing
    from studio.peft import AdaptedModel
    from studio.peft.contract import Method

SCRIPTS_DIR = resource("export")
"""Scripts that are copied into exports; only that of the adapter format imports this program."""


Precision = Literal["float32", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Data types for stored weights; all computation is in float32, so float16 only halves the files."""


def parse_precision(name: str) -> Precision:
    """Return the precision called ``name``; StudioError "bad-value" if there is none."""
    found = next((precision for precision in PRECISIONS if precision == name), None)
    if found is None:
        raise StudioError(
            "bad-value",
            "Weights cannot be stored as {name}. Choose {choices}.",
            name=name,
            choices=", ".join(PRECISIONS),
        )
    return found


@dataclass(frozen=True, slots=True)
class ExportSource:
    """Input of an export.

    ``model`` is the run's best adapter on its backbone, in evaluation mode. ``weights_digest`` is the hash of the
    backbone's own weights, ``precision`` the data type of the stored weights.
    """

    run: Run
    recipe: Recipe
    model: AdaptedModel
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights_digest: str
    precision: Precision = "float32"

    def to_stored(self, tensor: Tensor) -> Tensor:
        """Return the tensor as stored: contiguous and on the CPU.

        Floating-point tensors are converted to ``precision``.
        """
        plain = tensor.detach().cpu().contiguous()
        return plain.half() if self.precision == "float16" and plain.is_floating_point() else plain


@dataclass(frozen=True, slots=True)
class Verification:
    """Comparison of an export with the live model on validation images.

    The export is loaded from disk in a fresh process. ``largest_difference`` is over all logits of all images,
    ``agreement`` the share of images with the same top class, ``largest_logit`` the live model's largest absolute
    logit, which ``tolerance`` is computed from.
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
        """Return plain data."""
        return asdict(self)


class Exporter(ABC):
    """An export format. The registry holds one instance, which has no state."""

    name: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    marker_file: ClassVar[str]
    """The file that identifies a folder of this format."""
    predict_script: ClassVar[Path]
    """The folder's ``predict.py``, which defines ``logits(paths)`` and runs by itself.

    By default ``predict_<name>.py`` in :data:`SCRIPTS_DIR`."""
    python_usage: ClassVar[str]
    """Python code that assigns the exported model in ``{folder}`` to ``model``, for the model card."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages that :meth:`write` imports."""
    extra: ClassVar[str] = ""
    """The pip extra of this program that installs ``packages``; empty if they are installed by their own names."""
    predict_packages: ClassVar[tuple[str, ...]] = ()
    """Packages that ``predict_script`` imports, besides numpy and Pillow.

    If one is not installed, the folder is verified through :meth:`load`."""
    slow: ClassVar[bool] = False
    """Whether writing takes seconds; the demo leaves such a format out, and tests write several methods at once."""
    relative_tolerance: ClassVar[float] = 1e-5
    """Allowed difference of logits, in units of the largest logit (at least 1)."""
    float16_relative_tolerance: ClassVar[float] = 5e-3
    """The same for weights in float16.

    Each is rounded by at most 1 in 2,000; through timm's families that amounts to at most 2e-3."""

    def __init_subclass__(cls) -> None:
        """Set the default ``predict_script``."""
        super().__init_subclass__()
        if "name" in vars(cls) and "predict_script" not in vars(cls):
            cls.predict_script = SCRIPTS_DIR / f"predict_{cls.name}.py"

    def tolerance(self, source: ExportSource, largest_logit: float) -> float:
        """Return the allowed difference of logits, given the largest absolute logit."""
        halves = source.precision == "float16"
        return (self.float16_relative_tolerance if halves else self.relative_tolerance) * max(1.0, largest_logit)

    def unsupported_reason(self, method: Method[Any]) -> str:
        """Return why this format cannot hold ``method``, in one sentence; empty if it can."""
        return ""

    @abstractmethod
    def write(self, source: ExportSource, folder: Path) -> None:
        """Write the weights and their configuration into ``folder``.

        Raises StudioError if the run does not allow it.
        """

    @abstractmethod
    def load(self, folder: Path) -> Callable[[Tensor], Tensor]:
        """Return a function from images (N, 3, H, W) to logits (N, classes)."""


EXPORTERS: Registry[Exporter] = Registry(
    N_("export format"), "peft_studio.exporters", partial(import_package, "studio.export")
)

E = TypeVar("E", bound=type[Exporter])


def register(cls: E) -> E:
    """Class decorator: add an exporter to the registry."""
    EXPORTERS.register(cls())
    return cls


def formats_for(*methods: Method[Any]) -> list[str]:
    """Return the names of the exporters that support all ``methods``."""
    return [exporter.name for exporter in EXPORTERS if not any(exporter.unsupported_reason(m) for m in methods)]


def missing_packages(packages: tuple[str, ...]) -> list[str]:
    """Return those of ``packages``, by import name, that are not installed."""
    return [name for name in packages if find_spec(name) is None]
