"""The baseline, measured in the background while the user edits the recipe."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.app.baseline import Baseline, measure_baseline
from studio.core.recipe import Backbone, Data, Recipe
from studio.ui.services.background import WorkerThread
from studio.ui.services.engine import Engine, RecipeCounts
from studio.ui.services.error_text import error_message
from studio.ui.services.image_scan import ImageScanner
from studio.ui.services.trainer import TrainingController

if TYPE_CHECKING:
    from studio.core.control import TrainControl

DELAY_MS = 1_200
"""Pause after the last change of the recipe before a measurement."""
_MAX_PARAMETERS = 200_000_000
"""Backbones with more parameters are measured on request only."""


@dataclass(frozen=True, slots=True)
class BaselineStatus:
    """Progress of the measurement: ``done`` of ``total`` images while ``busy``, then a baseline or an error.

    ``on_request`` if it starts on request only.
    """

    baseline: Baseline | None = None
    busy: bool = False
    done: int = 0
    total: int = 0
    on_request: bool = False
    error: str = ""


class BaselineRunner(QObject):
    """Measures the baseline of images and backbone; ``changed`` carries a :class:`BaselineStatus`."""

    changed = Signal(object)
    _progressed = Signal(object)

    def __init__(
        self, images: ImageScanner, engine: Engine, trainer: TrainingController, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._images, self._engine, self._trainer = images, engine, trainer
        self._worker = WorkerThread("baseline", self)
        self._control: TrainControl | None = None
        self._requested: tuple[Data, Backbone] | None = None
        self.status = BaselineStatus()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._start_scheduled)
        self._progressed.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        images.changed.connect(lambda scan: self._schedule())
        engine.counted.connect(self._counted)
        trainer.preparing.connect(self._yield_to_training)
        trainer.ended.connect(lambda run: self._schedule())
        self._recipe = Recipe()

    def measure(self) -> None:
        """Measure now, also if it would not start by itself."""
        self._start((self._recipe.data, self._recipe.backbone))

    def stop(self) -> None:
        """Stop the measurement; it can be requested again."""
        self._timer.stop()
        if self._control is not None:
            self._control.stop()
            self._control = None
            self._show(BaselineStatus(on_request=True))

    def _yield_to_training(self) -> None:
        """Stop for a training, and start again after it."""
        if self.status.busy or self._timer.isActive():
            self.stop()
            self._requested = None

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self._worker.close()

    def _counted(self, counts: RecipeCounts) -> None:
        self._recipe = counts.recipe
        self._schedule()

    def _schedule(self) -> None:
        """Start after a pause if images or backbone differ from the last measurement."""
        scan, inputs = self._images.scan, self._probe_inputs()
        ready = scan.summary is not None and not scan.busy and not self._trainer.running
        if not ready or self._engine.last_counts is None or scan.path != self._recipe.data.path:
            if not scan.path:
                self._requested = None
                self._show(BaselineStatus())
            return
        if inputs != self._requested:
            if self._control is not None:
                self._control.stop()
                self._control = None
            self._show(BaselineStatus())
            self._timer.start()

    def _probe_inputs(self) -> tuple[Data, Backbone]:
        """Return the images and backbone that the baseline depends on; augmentation does not matter."""
        data = self._recipe.data
        return data.model_copy(
            update={"transforms": type(data.transforms)(), "acknowledged": {}}
        ), self._recipe.backbone

    def _start_scheduled(self) -> None:
        inputs = self._requested = self._probe_inputs()
        census = self._engine.last_counts.parameter_counts if self._engine.last_counts else None
        if census is None or self._trainer.running:
            return
        if census.total_parameters > _MAX_PARAMETERS:
            self._show(BaselineStatus(on_request=True))
            return
        self._start(inputs, only_local=True)

    def _start(self, inputs: tuple[Data, Backbone], only_local: bool = False) -> None:
        from studio.core.control import TrainControl

        self._requested, control = self._probe_inputs(), TrainControl()
        self._control = control
        self._show(BaselineStatus(busy=True))

        def reached(doing: str, done: int, total: int) -> None:
            if control.stopping:
                raise _cancelled()
            self._progressed.emit((control, done, total))

        self._worker.submit(
            lambda: (
                None
                if only_local and not _has_local_weights(inputs[1])
                else measure_baseline(*inputs, control, reached)
            ),
            lambda found: self._end(control, BaselineStatus(found, on_request=found is None)),
            lambda error: self._end(control, BaselineStatus(error=error_message(error))),
            key="probe",
        )

    def _end(self, control: "TrainControl", status: BaselineStatus) -> None:
        if control is self._control:
            self._control = None
            self._show(status)

    def _show_progress(self, progress: tuple["TrainControl", int, int]) -> None:
        control, done, total = progress
        if control is self._control:
            self._show(replace(self.status, done=done, total=total))

    def _show(self, status: BaselineStatus) -> None:
        if status != self.status:
            self.status = status
            self.changed.emit(status)


def _cancelled() -> Exception:
    from studio.data.images.file_index import Cancelled

    return Cancelled()


def _has_local_weights(backbone: Backbone) -> bool:
    """Return whether the weights are on this machine, so that nothing is downloaded unasked."""
    from studio.backbones import catalog

    if backbone.source != "timm" or not backbone.pretrained:
        return True
    return any(entry.name == backbone.name and entry.available for entry in catalog.search(backbone.name))
