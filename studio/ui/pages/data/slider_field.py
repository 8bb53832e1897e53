"""A field with a slider, for magnitudes that are chosen by their effect."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleValueChangeEvent
from PySide6.QtWidgets import QSlider, QWidget

from studio.ui.widgets.components import HBox, text_label
from studio.ui.widgets.fields import guard_wheel

_STEPS = 100
_VALUE_WIDTH = 44


class SliderField(QWidget):
    """A number from 0 to ``high``, in degrees or as a percentage.

    ``edited`` carries it while the slider moves.
    """

    edited = Signal(object)

    def __init__(self, name: str, high: float, degrees: bool = False) -> None:
        super().__init__()
        self._high, self._degrees = high, degrees
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, round(high) if degrees else _STEPS)
        self.slider.setAccessibleName(name)
        guard_wheel(self.slider)
        self._value_label = text_label("", "muted")
        self._value_label.setFixedWidth(_VALUE_WIDTH)
        self._value_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.slider.valueChanged.connect(self._changed)
        self.setFocusProxy(self.slider)
        self.setLayout(HBox((self.slider, 1), self._value_label))
        self._show_value()

    @property
    def value(self) -> float:
        """The value of the slider, in degrees or as a fraction."""
        position = self.slider.value()
        return float(position) if self._degrees else round(position * self._high / _STEPS, 4)

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(value if self._degrees else value * _STEPS / self._high))
        self.slider.blockSignals(False)
        self._show_value()

    def _changed(self, position: int) -> None:
        self._show_value()
        self.edited.emit(self.value)

    def _show_value(self) -> None:
        self._value_label.setText(f"{self.value:.0f}°" if self._degrees else f"{self.value * 100:.0f} %")
        QAccessible.updateAccessibility(QAccessibleValueChangeEvent(self.slider, self._value_label.text()))
