"""The engine: imports torch, builds layer trees and counts parameters on a thread of its own."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Backbone, Recipe
from studio.ui.services.background import WorkerThread
from studio.ui.services.error_text import error_message
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.tree_data import TreeData, build_tree

if TYPE_CHECKING:
    from studio.app.inspection import Inspector
    from studio.peft.contract import Method
    from studio.peft.param_counts import ParameterCounts
    from studio.peft.target_matching import MatchResult

_MATCH_CACHE_SIZE = 64


@dataclass(frozen=True, slots=True)
class RecipeCounts:
    """Layers and counts of a recipe; ``problem`` if its backbone cannot be built, ``problems`` by attachment name."""

    recipe: Recipe
    classes: int
    layers: tuple[Layer, ...] = ()
    parameter_counts: "ParameterCounts | None" = None
    tree_data: TreeData | None = None
    problem: str = ""
    problems: dict[str, str] = field(default_factory=dict)


class Engine(QObject):
    """Reports layers, parameter counts and problems of the newest recipe."""

    loaded = Signal()
    load_failed = Signal(object)
    counted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = WorkerThread("engine", self)
        self._inspector: tuple[tuple[Backbone, int], Inspector] | None = None
        self._tree_data: TreeData | None = None
        self._match_cache: list[tuple[Attachment, tuple[Layer, ...], MatchResult]] = []
        self.ready = False
        self.last_counts: RecipeCounts | None = None

    def start(self) -> None:
        """Start to import the engine."""
        self._worker.submit(_import, self._ready, lambda error: self.load_failed.emit(error_message(error)))

    def count(self, recipe: Recipe, classes: int) -> None:
        """Request :attr:`counted` for ``recipe`` with ``classes`` outputs; drop an older request that waits."""
        self._worker.submit(lambda: self._count(recipe, classes), self._counted, key="count")

    def preview(self, recipe: Recipe, classes: int, done: Callable[[int], None]) -> None:
        """Call ``done`` with the number of trainable parameters of ``recipe``."""
        self._worker.submit(
            lambda: self._count(recipe, classes),
            lambda counted: done(counted.parameter_counts.trainable_parameters) if counted.parameter_counts else None,
            key="preview",
        )

    def unsupported_methods(self, rows: Sequence[MethodRow], done: Callable[[dict[str, str]], None]) -> None:
        """Call ``done`` with the reasons, by name, of the ``rows`` that no layer of the backbone supports."""
        layers = self.layers
        self._worker.submit(lambda: _unsupported_methods(rows, layers), done, key="refusals")

    def check_backbone(
        self, backbone: Backbone, done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Load the weights of ``backbone`` to check them; then call ``done``, or ``failed`` with the reason."""
        self._worker.submit(lambda: _check_backbone(backbone), done, failed, key="verify")

    def search(self, pattern: str, done: Callable[[tuple[list[Any], str]], None]) -> None:
        """Call ``done`` with the catalog entries that match ``pattern``, and the spelling searched for."""
        self._worker.submit(lambda: _search(pattern), done, key="search")

    def close(self) -> None:
        """End the thread, after the computation that runs."""
        self._worker.close()

    @property
    def busy(self) -> bool:
        """Whether a computation runs or waits."""
        return self._worker.busy

    # on the window's thread, once the engine is loaded

    def method_rows(self) -> tuple[MethodRow, ...]:
        """Return the methods as plain rows; none before the engine is loaded."""
        return tuple(
            MethodRow(m.name, m.label, m.family, m.summary, m.paper, m.not_mergeable_reason, m.info.diagram)
            for m in (_methods_by_family() if self.ready else ())
        )

    def plugin_errors(self) -> tuple[str, ...]:
        """Return a sentence for each plugin that could not be loaded."""
        return tuple(_methods().failures.values()) if self.ready else ()

    def method(self, name: str) -> "Method[Any]":
        """Return the method called ``name``; raise StudioError if it is unknown or the engine still loads."""
        if not self.ready:
            raise StudioError("engine-loading", "The engine is still loading. Try again in a moment.")
        return _methods().get(name)

    def match_targets(self, attachment: Attachment) -> "MatchResult":
        """Return the layers that ``attachment`` matches and skips, with reasons; recent results are cached."""
        from studio.peft.target_matching import match_targets

        layers = self.layers
        for cached, cached_layers, result in self._match_cache:
            if cached_layers is layers and cached == attachment:
                return result
        result = match_targets(attachment, layers)
        self._match_cache = [(attachment, layers, result), *self._match_cache[: _MATCH_CACHE_SIZE - 1]]
        return result

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the newest backbone that could be built."""
        return self.last_counts.layers if self.last_counts else ()

    # on the worker thread

    def _count(self, recipe: Recipe, classes: int) -> RecipeCounts:
        from studio.peft.target_matching import match_targets

        try:
            inspector = self._inspect(recipe.backbone, classes)
        except StudioError as error:
            return RecipeCounts(recipe, classes, problem=error_message(error))
        enabled = [a for a in recipe.attachments if a.enabled]
        problems = {a.name: p for a in enabled if (p := match_targets(a, inspector.layers).problem)}
        try:
            counts = inspector.parameter_counts(recipe.attachments, head=recipe.head.trainable)
        except StudioError as error:
            return RecipeCounts(
                recipe,
                classes,
                inspector.layers,
                tree_data=self._tree_data,
                problem=error_message(error),
                problems=problems,
            )
        return RecipeCounts(recipe, classes, inspector.layers, counts, self._tree_data, problems=problems)

    def _inspect(self, backbone: Backbone, classes: int) -> "Inspector":
        from studio.app.inspection import Inspector

        key = (backbone, classes)
        if self._inspector is None or self._inspector[0] != key:
            self._inspector = (key, Inspector(backbone, classes))
            self._tree_data = build_tree(self._inspector[1].layers)
        return self._inspector[1]

    def _ready(self, value: Any) -> None:
        self.ready = True
        gc.freeze()  # objects of torch live until exit: full collections need not visit them
        self.loaded.emit()
        self._worker.submit(_import_plots)

    def _counted(self, counts: RecipeCounts) -> None:
        self.last_counts = counts
        self.counted.emit(counts)


def _import() -> None:
    import studio.app.inspection  # noqa: F401 - imports torch and timm

    tuple(_methods())


def _import_plots() -> None:
    """Import the plotting library here: on the window's thread its import would be noticed."""
    import pyqtgraph  # noqa: F401


def _methods_by_family() -> Any:
    from studio.peft.contract import methods_by_family

    return methods_by_family()


def _methods() -> Any:
    from studio.peft.contract import METHODS

    return METHODS


def _unsupported_methods(rows: Sequence[MethodRow], layers: tuple[Layer, ...]) -> dict[str, str]:
    from studio.app.presets import fit_to_backbone
    from studio.peft.target_builder import build_attachments

    found: dict[str, str] = {}
    for row in rows if layers else ():
        try:
            fit_to_backbone(row.preset, layers) if row.preset else build_attachments(
                _methods().get(row.name), layers, [("", None)]
            )
        except StudioError as error:
            found[row.name] = error.message
    return found


def _search(pattern: str) -> tuple[list[Any], str]:
    from studio.backbones import catalog

    spelling = catalog.did_you_mean(pattern)
    return catalog.search(spelling) if spelling or not pattern else [], spelling


def _check_backbone(backbone: Backbone) -> None:
    from studio.backbones.loading import load_backbone

    load_backbone(backbone)
