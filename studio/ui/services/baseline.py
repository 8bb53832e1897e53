"""The number to beat, measured in the background while the user is still choosing."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from studio.app.baseline import Baseline, linear_probe
from studio.core.recipe import Backbone, Data, Recipe
from studio.ui.services.background import Lane, sentence
from studio.ui.services.engine import Counted, Engine
from studio.ui.services.image_scan import Images
from studio.ui.services.trainer import Trainer

if TYPE_CHECKING:
    from studio.core.control import TrainControl

PAUSE_MS = 1_200
"""Nothing is measured while the recipe was changed less than this ago."""
_LARGEST = 200_000_000
"""Backbones of more parameters than this are measured only when asked for."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Where the measurement stands: ``done`` of ``total`` images while ``busy``, then a baseline or an error.

    ``waits`` where it has to be asked for.
    """

    baseline: Baseline | None = None
    busy: bool = False
    done: int = 0
    total: int = 0
    waits: bool = False
    error: str = ""


class NumberToBeat(QObject):
    """Follows images and backbone; ``changed`` carries a :class:`Beat`. It gives way to a training."""

    changed = Signal(object)
    _reached = Signal(object)

    def __init__(self, images: Images, engine: Engine, trainer: Trainer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._images, self._engine, self._trainer = images, engine, trainer
        self._lane = Lane("baseline", self)
        self._control: TrainControl | None = None
        self._asked: tuple[Data, Backbone] | None = None
        self.beat = Beat()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._begin)
        self._reached.connect(self._tell, Qt.ConnectionType.QueuedConnection)
        images.changed.connect(lambda scan: self._look())
        engine.counted.connect(self._counted)
        trainer.preparing.connect(self._give_way)
        trainer.ended.connect(lambda run: self._look())
        self._recipe = Recipe()

    def measure(self) -> None:
        """Measure now, also what would not be measured by itself."""
        self._start((self._recipe.data, self._recipe.backbone))

    def stop(self) -> None:
        """Measure no more; it can be asked for."""
        self._timer.stop()
        if self._control is not None:
            self._control.stop()
            self._control = None
            self._show(Beat(waits=True))

    def _give_way(self) -> None:
        """Stop for a training, and begin again after it."""
        if self.beat.busy or self._timer.isActive():
            self.stop()
            self._asked = None

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self._lane.close()

    def _counted(self, counted: Counted) -> None:
        self._recipe = counted.recipe
        self._look()

    def _look(self) -> None:
        """Begin after a pause where images or backbone are other than what was last measured."""
        scan, wanted = self._images.scan, self._wanted()
        ready = scan.summary is not None and not scan.busy and not self._trainer.running
        if not ready or self._engine.last is None or scan.path != self._recipe.data.path:
            if not scan.path:
                self._asked = None
                self._show(Beat())
            return
        if wanted != self._asked:
            if self._control is not None:
                self._control.stop()
                self._control = None
            self._show(Beat())
            self._timer.start()

    def _wanted(self) -> tuple[Data, Backbone]:
        """What decides the number: how images are augmented does not."""
        data = self._recipe.data
        return data.model_copy(update={"transforms": type(data.transforms)(), "acknowledged": {}}), self._recipe.backbone

    def _begin(self) -> None:
        wanted = self._asked = self._wanted()
        census = self._engine.last.census if self._engine.last else None
        if census is None or self._trainer.running:
            return
        if census.total_parameters > _LARGEST:
            self._show(Beat(waits=True))
            return
        self._start(wanted, only_local=True)

    def _start(self, wanted: tuple[Data, Backbone], only_local: bool = False) -> None:
        from studio.core.control import TrainControl

        self._asked, control = self._wanted(), TrainControl()
        self._control = control
        self._show(Beat(busy=True))

        def reached(doing: str, done: int, total: int) -> None:
            if control.stopping:
                raise _stopped()
            self._reached.emit((control, done, total))

        self._lane.submit(
            lambda: None if only_local and not _is_here(wanted[1]) else linear_probe(*wanted, control, reached),
            lambda found: self._end(control, Beat(found, waits=found is None)),
            lambda error: self._end(control, Beat(error=sentence(error))),
            key="probe",
        )

    def _end(self, control: "TrainControl", beat: Beat) -> None:
        if control is self._control:
            self._control = None
            self._show(beat)

    def _tell(self, reached: tuple["TrainControl", int, int]) -> None:
        control, done, total = reached
        if control is self._control:
            self._show(replace(self.beat, done=done, total=total))

    def _show(self, beat: Beat) -> None:
        if beat != self.beat:
            self.beat = beat
            self.changed.emit(beat)


def _stopped() -> Exception:
    from studio.data.images.file_index import Cancelled

    return Cancelled()


def _is_here(backbone: Backbone) -> bool:
    """Whether the weights are on this machine, so that nothing is fetched that was not asked for."""
    from studio.backbones import catalog

    if backbone.source != "timm" or not backbone.pretrained:
        return True
    return any(entry.name == backbone.name and entry.available for entry in catalog.search(backbone.name))
