"""Fields of forms: each shows a value and emits ``edited`` after a change."""

import math
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QValidator, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFileDialog, QLineEdit, QSpinBox, QWidget

from studio.ui.i18n.language import tr
from studio.ui.style.icons import icon

_MAX_INT = 2**31 - 1
_INSET = 5


class _WheelGuard(QObject):
    """Passes the wheel on unless the field has the focus: scrolling changes no values."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: swallow the wheel."""
        if isinstance(event, QWheelEvent) and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def guard_wheel(field: QWidget) -> None:
    """Make ``field`` ignore the wheel unless it has the focus."""
    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    field.installEventFilter(_WheelGuard(field))


def mixed_text() -> str:
    """Return the text of a field that stands for several values at once."""
    return tr("several values")


def _set_up_number_field(field: "IntField | FloatField") -> None:
    """Set up what both kinds of number field share."""
    field.setKeyboardTracking(False)
    field.lineEdit().setTextMargins(_INSET, 0, 0, 0)
    guard_wheel(field)
    field.valueChanged.connect(lambda value: _emit_edited(field, value))
    field.lineEdit().textEdited.connect(lambda text: _text_edited(field))
    field.editingFinished.connect(lambda: _editing_finished(field))


def _emit_edited(field: "IntField | FloatField", value: float) -> None:
    field.is_mixed, field.typed_is_valid = False, None
    field.edited.emit(value)


def _text_edited(field: "IntField | FloatField") -> None:
    """Remember whether the text typed into a field of several values is a number yet."""
    if field.is_mixed or field.typed_is_valid is not None:
        field.is_mixed, field.typed_is_valid = False, field.hasAcceptableInput()


def _editing_finished(field: "IntField | FloatField") -> None:
    """Emit a number typed into a field of several values, also an unchanged one."""
    if field.typed_is_valid:
        _emit_edited(field, field.value())
    elif field.typed_is_valid is not None:
        field.show_mixed()


def _show_number(field: "IntField | FloatField", value: Any, mixed: bool = False) -> None:
    field.blockSignals(True)
    field.is_mixed, field.typed_is_valid = mixed, None
    field.setValue(value)
    field.lineEdit().setText(field.textFromValue(value))
    field.blockSignals(False)


class IntField(QSpinBox):
    """A whole number."""

    edited = Signal(object)
    is_mixed = False
    typed_is_valid: bool | None = None

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.setRange(max(round(low) if math.isfinite(low) else -_MAX_INT, -_MAX_INT), _int_limit(high))
        self.setAccelerated(True)
        self.accepts: Callable[[int], bool] = lambda value: True
        self._limit: int | None = None
        _set_up_number_field(self)

    def stepBy(self, steps: int) -> None:
        """Qt: step up or down, skipping values that are not accepted."""
        low, high, direction = self.minimum(), self.maximum(), 1 if steps > 0 else -1
        value = min(max(self.value() + steps, low), high)
        while low <= value <= high and not self.accepts(value):
            value += direction
        if low <= value <= high:
            self.setValue(value)

    def set_limit(self, maximum: float) -> None:
        """Limit the values to ``maximum``, or to the next shown value if it is higher."""
        self._limit = max(_int_limit(maximum), self.minimum())

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        if self._limit is not None:
            self.blockSignals(True)
            self.setMaximum(max(self._limit, int(value)))
            self.blockSignals(False)
        _show_number(self, int(value))

    def show_mixed(self) -> None:
        """Show that there are several values."""
        _show_number(self, self.value(), mixed=True)

    def textFromValue(self, value: int) -> str:
        """Qt: the number in digits."""
        return mixed_text() if self.is_mixed else str(value)

    def valueFromText(self, text: str) -> int:
        """Qt: read a number."""
        return int(text) if text.strip().lstrip("+-").isdigit() else self.value()

    def validate(self, text: str, position: int) -> object:
        """Qt: accept a number in the range, or the beginning of one."""
        if self.is_mixed and text == mixed_text():
            return (QValidator.State.Acceptable, text, position)
        return super().validate(text, position)


def _int_limit(high: float) -> int:
    return min(int(high), _MAX_INT) if math.isfinite(high) else _MAX_INT


class FloatField(QDoubleSpinBox):
    """A number in its shortest form; steps are 0.1, 0.2, 0.5, 1, 2, 5 and so on."""

    edited = Signal(object)
    is_mixed = False
    typed_is_valid: bool | None = None

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.setDecimals(12)
        self.setRange(low if math.isfinite(low) else -1e12, high if math.isfinite(high) else 1e12)
        _set_up_number_field(self)

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        _show_number(self, float(value))

    def show_mixed(self) -> None:
        """Show that there are several values."""
        _show_number(self, self.value(), mixed=True)

    def textFromValue(self, value: float) -> str:
        """Qt: the number, such as 0.001 or 1e-05."""
        return mixed_text() if self.is_mixed else f"{value:.6g}"

    def valueFromText(self, text: str) -> float:
        """Qt: read a number."""
        try:
            return float(text.replace(",", "."))
        except ValueError:
            return self.value()

    def validate(self, text: str, position: int) -> object:
        """Qt: accept a number in the range, or the beginning of one."""
        if self.is_mixed and text == mixed_text():
            return (QValidator.State.Acceptable, text, position)
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            partial = all(letter in "0123456789.,eE+-" for letter in text)
            return (QValidator.State.Intermediate if partial else QValidator.State.Invalid, text, position)
        inside = self.minimum() <= value <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate, text, position)

    def stepBy(self, steps: int) -> None:
        """Qt: step up or down."""
        for _ in range(abs(steps)):
            self.setValue(_next_step(self.value(), up=steps > 0))


_STEP_MANTISSAS = (1.0, 2.0, 5.0)


def _next_step(value: float, up: bool) -> float:
    """Return the next of …, 0.1, 0.2, 0.5, 1, 2, 5, … above or below ``value``."""
    if value <= 0:
        return 0.01 if up else 0.0
    decade = math.floor(math.log10(value))
    steps = [mantissa * 10.0 ** (decade + d) for d in (-1, 0, 1) for mantissa in _STEP_MANTISSAS]
    if up:
        return next(step for step in steps if step > value * 1.0001)
    return next(step for step in reversed(steps) if step < value * 0.9999)


class ChoiceField(QComboBox):
    """One of a few values; ``label`` returns the text of each."""

    edited = Signal(object)

    def __init__(self, choices: tuple[Any, ...], label: Callable[[Any], str] = str) -> None:
        super().__init__()
        for choice in choices:
            self.addItem(label(choice), choice)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        guard_wheel(self)
        self.activated.connect(lambda _: self.edited.emit(self.currentData()))

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        self.setCurrentIndex(max(0, self.findData(value)))

    def show_mixed(self) -> None:
        """Show that there are several values."""
        self.setPlaceholderText(mixed_text())
        self.setCurrentIndex(-1)


class SwitchField(QCheckBox):
    """Yes or no."""

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.toggled.connect(self._emit_edited)
        self._silent = False

    def _emit_edited(self, on: bool) -> None:
        if not self._silent:
            self.edited.emit(on)

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        self._silent = True
        self.setTristate(False)
        self.setChecked(bool(value))
        self._silent = False

    def show_mixed(self) -> None:
        """Show that there are several values; the next click turns all on."""
        self._silent = True
        self.setCheckState(Qt.CheckState.PartiallyChecked)
        self._silent = False

    def nextCheckState(self) -> None:
        """Qt: a click was made."""
        if self.checkState() == Qt.CheckState.PartiallyChecked:
            self.show_value(True)
            self.edited.emit(True)
            return
        super().nextCheckState()


class TextField(QLineEdit):
    """A text; it is edited when Enter is pressed or the field loses the focus."""

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""
        self.editingFinished.connect(self._emit_if_changed)

    def _emit_if_changed(self) -> None:
        if self.text() != self._shown:
            self._shown = self.text()
            self.edited.emit(self._shown)

    def show_value(self, value: Any) -> None:
        """Show ``value`` without emitting a signal."""
        self._shown = str(value)
        self.setPlaceholderText("")
        if self.text() != self._shown:
            self.setText(self._shown)

    def show_mixed(self) -> None:
        """Show that there are several values."""
        self.show_value("")
        self.setPlaceholderText(mixed_text())


class ListField(TextField):
    """Several texts separated by semicolons.

    With ``folders`` a button adds a chosen folder.
    """

    def __init__(self, folders: bool = False) -> None:
        super().__init__()
        if folders:
            add = self.addAction(icon("folder"), QLineEdit.ActionPosition.TrailingPosition)
            add.setText(tr("Add folder…"))
            add.setToolTip(tr("Add folder…"))
            add.triggered.connect(lambda checked=False: self.choose_folder())

    def choose_folder(self) -> None:
        """Ask for another folder and add it."""
        if chosen := QFileDialog.getExistingDirectory(self, tr("Add folder")):
            self.setText("; ".join((*self._texts(), chosen)))
            self._emit_if_changed()

    def _texts(self) -> tuple[str, ...]:
        return tuple(part for text in self.text().split(";") if (part := text.strip()))

    def _emit_if_changed(self) -> None:
        if self.text() != self._shown:
            self._shown = self.text()
            self.edited.emit(self._texts())

    def show_value(self, value: Any) -> None:
        """Show the texts of ``value`` without emitting a signal."""
        super().show_value("; ".join(value))


Field = IntField | FloatField | ChoiceField | SwitchField | TextField
