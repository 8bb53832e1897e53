"""Resource estimates of the recipe, measured in the background, and edits that save memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.app import estimate_cache
from studio.core.events import ResourceEstimate
from studio.core.layers import Layer
from studio.core.messages import N_
from studio.core.recipe import Attachment, Recipe
from studio.ui.services import recipe_edits
from studio.ui.services.background import WorkerThread
from studio.ui.services.document import Document
from studio.ui.services.engine import Engine
from studio.ui.services.error_text import error_message

if TYPE_CHECKING:
    from studio.core.control import TrainControl


_CHECKPOINTING = "training.gradient_checkpointing"


class ResourceEstimator(QObject):
    """The newest estimate; ``stale`` if the recipe has changed since."""

    changed = Signal()

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._worker = WorkerThread("preflight", self)
        self._control: TrainControl | None = None
        self.estimate: ResourceEstimate | None = None
        self.stale = False
        self.problem = ""
        document.changed.connect(self._recipe_changed)
        self._recipe_changed(document.recipe)

    @property
    def measuring(self) -> bool:
        """Whether a measurement runs."""
        return self._control is not None

    def measure(self) -> None:
        """Train a few steps of the recipe in the background."""
        from studio.core.control import TrainControl

        if self.measuring:
            return
        recipe, control = self._document.recipe, TrainControl()
        self._control, self.problem = control, ""
        self._worker.submit(
            lambda: estimate_cache.estimate_in_subprocess(recipe, control), self._measured, self._failed
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Cancel the measurement that runs."""
        if self._control is not None:
            self._control.stop()

    def close(self) -> None:
        """Cancel the measurement and end the thread."""
        self.cancel()
        self._worker.close()

    def _recipe_changed(self, recipe: Recipe) -> None:
        known = estimate_cache.cached_estimate(recipe)
        self.stale = known is None and self.estimate is not None
        self.estimate, self.problem = known or self.estimate, ""
        self.changed.emit()

    def _measured(self, estimate: ResourceEstimate) -> None:
        self._control, self.estimate = None, estimate
        self._recipe_changed(self._document.recipe)

    def _failed(self, error: Exception) -> None:
        stopped = self._control is not None and self._control.stopping
        self._control, self.problem = None, "" if stopped else error_message(error)
        self.changed.emit()


@dataclass(frozen=True)
class MemorySaving:
    """An edit that saves memory in training; ``recipe`` is None if it would save nothing."""

    label: str
    tool_tip: str
    recipe: Recipe | None


def memory_savings(recipe: Recipe, engine: Engine) -> tuple[MemorySaving, ...]:
    """Return the edits that save memory, the least intrusive first."""
    return (_smaller_microbatches(recipe), _checkpointing(recipe), _bfloat16(recipe), _fewer_blocks(recipe, engine))


def _smaller_microbatches(recipe: Recipe) -> MemorySaving:
    parts = recipe.training.accumulation * 2
    possible = parts <= recipe.training.batch_size
    return MemorySaving(
        N_("Split each batch into {n} micro-batches", n=parts),
        N_("Halves the images in memory. Same results; a step takes slightly longer"),
        recipe_edits.with_value(recipe, "training.accumulation", parts) if possible else None,
    )


def _checkpointing(recipe: Recipe) -> MemorySaving:
    return MemorySaving(
        N_("Enable gradient checkpointing"),
        N_("Recomputes blocks in the backward pass: far less memory, about a third more time, same results"),
        None if recipe.training.gradient_checkpointing else recipe_edits.with_value(recipe, _CHECKPOINTING, True),
    )


def _bfloat16(recipe: Recipe) -> MemorySaving:
    return MemorySaving(
        N_("Compute in bfloat16"),
        N_("Halves the memory of activations. Results differ slightly; slow on CPUs without bfloat16"),
        None
        if recipe.training.precision == "bfloat16"
        else recipe_edits.with_value(recipe, "training.precision", "bfloat16"),
    )


def _fewer_blocks(recipe: Recipe, engine: Engine) -> MemorySaving:
    return MemorySaving(
        N_("Keep adapters in the last half only"),
        N_("No activations are stored before the first adapter. Accuracy may be lower"),
        _adapters_in_last_half(recipe, engine),
    )


def _adapters_in_last_half(recipe: Recipe, engine: Engine) -> Recipe | None:
    matched = {a.name: engine.match_targets(a).matched for a in recipe.attachments if a.enabled}
    blocks = sorted({layer.block for found in matched.values() for layer in found if layer.block is not None})
    if len(blocks) < 2:
        return None
    first = blocks[len(blocks) // 2]
    kept = [_without_early_blocks(a, first, matched.get(a.name, ()), engine) for a in recipe.attachments]
    return recipe.model_copy(update={"attachments": tuple(a for a in kept if a is not None)})


def _without_early_blocks(
    attachment: Attachment, first: int, matched: Sequence[Layer], engine: Engine
) -> Attachment | None:
    from studio.peft.target_builder import exclude_paths

    early = [layer.path for layer in matched if layer.block is not None and layer.block < first]
    return exclude_paths(attachment, early, matched, engine.layers) if early else attachment
