"""Prediction of an adapter, and its attachments as switches and sliders."""

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QSlider, QWidget

from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.results.probability_bars import ProbabilityBars
from studio.ui.style.formatting import format_percent
from studio.ui.widgets.components import HBox, IconButton, VBox, repolish, text_label
from studio.ui.widgets.fields import guard_wheel

if TYPE_CHECKING:
    from studio.app.inference_session import AdapterPrediction
    from studio.app.multi_task import AdapterControl

STRENGTH_STEPS = 100
"""Steps of a strength slider for a strength of 1."""


class PredictionCard(QFrame):
    """Prediction of one adapter; a click makes the adapter the active one."""

    pressed = Signal(object)
    remove_requested = Signal(object)

    def __init__(self, name: str, removable: bool) -> None:
        super().__init__()
        self.name = name
        self.setObjectName("choice")
        self.setFixedWidth(258)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(tr("Adapter {name}", name=name))
        title = text_label(_shorten_name(name), "field")
        title.setToolTip(name)
        self.fuse_box = QCheckBox()
        self.fuse_box.setToolTip(tr("Select for fusion"))
        self.fuse_box.setAccessibleName(tr("Fuse {name}", name=name))
        remove = IconButton(tr("Remove"), "close", lambda: self.remove_requested.emit(name))
        policy = remove.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        remove.setSizePolicy(policy)
        remove.setVisible(removable)
        self.best_label = text_label("", "heading")
        self.probability_bars = ProbabilityBars()
        self.timing_label = text_label("", "caption", wrap=True)
        head = HBox(self.fuse_box, (title, 1), remove)
        self.setLayout(
            VBox(head, self.best_label, self.probability_bars, self.timing_label, gap=6, margins=(14, 8, 10, 10))
        )

    def show_prediction(self, prediction: "AdapterPrediction | None") -> None:
        """Show ``prediction``; None clears the card."""
        self.probability_bars.show_rows(prediction.prediction.top_k(5) if prediction else [])
        if prediction is None:
            self.best_label.setText("")
            self.timing_label.setText("")
            return
        label, share = prediction.prediction.top_k(1)[0]
        self.best_label.setText(tr("{label}, {share}", label=label, share=format_percent(share)))
        self.timing_label.setText(
            tr(
                "switched in {switch:.1f} ms, predicted in {predict:.0f} ms",
                switch=prediction.switch_ms,
                predict=prediction.predict_ms,
            )
        )

    def show_active(self, active: bool) -> None:
        """Mark the adapter whose attachments and saliency map are shown."""
        self.setProperty("chosen", active)
        repolish(self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: make it active."""
        self.pressed.emit(self.name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: make it active with Enter or space."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit(self.name)
        else:
            super().keyPressEvent(event)


class AdapterStrengthRow(QWidget):
    """Switch and strength of one attachment; ``changed`` carries its new state."""

    changed = Signal(object)

    def __init__(self, control: "AdapterControl") -> None:
        super().__init__()
        self.control = control
        self.switch = QCheckBox(control.name)
        self.switch.setChecked(control.enabled)
        self.switch.setAccessibleName(tr("Enable {name}", name=control.name))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 2 * STRENGTH_STEPS)
        self.slider.setValue(round(control.strength * STRENGTH_STEPS))
        self.slider.setPageStep(25)
        self.slider.setMinimumWidth(110)
        self.slider.setAccessibleName(tr("Strength of {name}", name=control.name))
        self.slider.setEnabled(not control.not_scalable_reason)
        self.slider.setToolTip(
            localized(control.not_scalable_reason)
            if control.not_scalable_reason
            else tr("0 % disables it, 100 % is as trained")
        )
        guard_wheel(self.slider)
        self.value_label = text_label("", "caption")
        self.value_label.setFixedWidth(44)
        method_label = text_label(
            tr_n(
                "{label}, {n:,} parameter",
                "{label}, {n:,} parameters",
                control.parameters,
                label=localized(control.label),
            ),
            "caption",
        )
        self.setLayout(HBox((self.switch, 2), (method_label, 3), (self.slider, 3), self.value_label, gap=12))
        self.switch.toggled.connect(lambda on: self._control_changed())
        self.slider.valueChanged.connect(lambda value: self._control_changed())
        self._show_value()

    def _control_changed(self) -> None:
        self.control = replace(
            self.control, enabled=self.switch.isChecked(), strength=self.slider.value() / STRENGTH_STEPS
        )
        self._show_value()
        self.changed.emit(self.control)

    def _show_value(self) -> None:
        self.value_label.setText(f"{self.slider.value()} %" if self.control.enabled else tr("off"))


def _shorten_name(name: str) -> str:
    """Return the end of a long run name, which differs between runs."""
    return name if len(name) <= 22 else f"…{name[-21:]}"
