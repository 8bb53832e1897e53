"""A form made from the fields of a pydantic config: their types, bounds, choices and descriptions."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from studio.ui.i18n import control_names
from studio.ui.i18n.language import tr
from studio.ui.widgets.collapsible import Fold
from studio.ui.widgets.components import Column, Row, holder, text
from studio.ui.widgets.fields import ChoiceField, Field, FloatField, IntField, ListField, SwitchField, TextField

FIELD_WIDTH = 120
ONLY_IF = "only_if"
"""Under this key in ``json_schema_extra`` a field says which values of others it matters with; else it is hidden."""

FOLDERS = "folders"
"""Under this key a list of texts says that they are folders."""


class Form(QWidget):
    """Shows the fields of ``config`` named in ``only``, or all; ``edited`` carries a name and a value.

    With a ``fold``, the fields not in ``only`` stand under a fold of that name, closed at first.
    """

    edited = Signal(str, object)

    def __init__(
        self, config: type[BaseModel], only: Sequence[str] = (), captions: bool = True, fold: str = ""
    ) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self.fold: Fold | None = None
        self._lines: dict[str, QWidget] = {}
        self._conditions: dict[str, Mapping[str, Any]] = {}
        self._most: dict[str, float] = {}
        self._idle: Collection[str] = ()
        self._captions = captions
        outer = Column()
        shown = tuple(only) or tuple(config.model_fields)
        outer.addLayout(self._column(config, shown))
        if fold:
            self._rare = {name: info.default for name, info in config.model_fields.items() if name not in shown}
            self.fold = Fold(fold, self._column(config, tuple(self._rare)))
            outer.addWidget(self.fold)
        outer.addStretch(1)
        self.setLayout(outer)

    def _column(self, config: type[BaseModel], names: Sequence[str]) -> Column:
        column = Column(gap=12)
        for name in names:
            info = config.model_fields[name]
            line = holder(self._line(name, info))
            column.addWidget(line)
            self._lines[name] = line
            extra = info.json_schema_extra
            if isinstance(extra, dict) and isinstance(condition := extra.get(ONLY_IF), dict):
                self._conditions[name] = condition
        return column

    def _line(self, name: str, info: FieldInfo) -> Column:
        field = field_for(info)
        field.setAccessibleName(title(name, info))
        field.setAccessibleDescription(sentence(info))
        field.setToolTip(sentence(info))
        field.edited.connect(lambda value, name=name: self.edited.emit(name, value))
        self.fields[name] = field
        self._most[name] = bounds(info, 1)[1]
        label = text(title(name, info), "field")
        label.setBuddy(field)
        label.setToolTip(sentence(info))
        if isinstance(field, SwitchField):
            head: Row = Row(field, (label, 1))
        else:
            field.setFixedWidth(FIELD_WIDTH)
            head = Row((label, 1), field)
        box = Column(head, gap=2)
        if self._captions and info.description:
            box.addWidget(text(sentence(info), "caption", wrap=True))
        return box

    def narrow(self, most: Mapping[str, int], idle: Collection[str]) -> None:
        """Let whole numbers go up to ``most`` and no further, and hide ``idle`` fields, from the next values on."""
        self._idle = idle
        for name, field in self.fields.items():
            if isinstance(field, IntField):
                field.limit(min(self._most[name], most.get(name, math.inf)))

    def show_values(self, values: Mapping[str, Any], mixed: Collection[str] = ()) -> None:
        """Show ``values`` without telling anyone; fields that are ``mixed`` say that there are several."""
        for name, field in self.fields.items():
            if name in mixed:
                field.show_mixed()
            elif name in values:
                field.show_value(values[name])
        for name, line in self._lines.items():
            wanted = self._conditions.get(name, {}).items()
            matters = all(key in mixed or values.get(key) == value for key, value in wanted)
            line.setHidden(name in self._idle or not matters)
        if self.fold:
            changed = sum(name in values and values[name] != default for name, default in self._rare.items())
            self.fold.note(tr("{n} changed", n=changed) if changed else "")


def field_for(info: FieldInfo) -> Field:
    """The kind of field that a config's field needs."""
    kind = _plain_type(info.annotation)
    if get_origin(kind) is Literal:
        return ChoiceField(get_args(kind))
    if kind is bool:
        return SwitchField()
    if kind is int:
        return IntField(*bounds(info, 1))
    if kind is float:
        return FloatField(*bounds(info, 1e-12))
    if get_origin(kind) is tuple:
        extra = info.json_schema_extra
        return ListField(isinstance(extra, dict) and bool(extra.get(FOLDERS)))
    return TextField()


def _plain_type(annotation: Any) -> Any:
    """The type itself, without ``| None``."""
    others = [kind for kind in get_args(annotation) if kind is not type(None)]
    return others[0] if others and get_origin(annotation) is not Literal and len(others) == 1 else annotation


def bounds(info: FieldInfo, step: float) -> tuple[float, float]:
    """The smallest and largest value of a field; an open bound moves inwards by ``step``."""
    low, high = -math.inf, math.inf
    for rule in info.metadata:
        low = _either(rule, "ge", 0, _either(rule, "gt", step, low))
        high = _either(rule, "le", 0, _either(rule, "lt", -step, high))
    return low, high


def _either(rule: Any, name: str, shift: float, otherwise: float) -> float:
    value = getattr(rule, name, None)
    return otherwise if value is None else value + shift


def title(name: str, info: FieldInfo) -> str:
    """``Learning rate`` for ``learning_rate``, or the field's own title."""
    return tr(control_names.title(name, info.title))


def sentence(info: FieldInfo) -> str:
    """The description, as a sentence with a capital."""
    words = tr((info.description or "").strip())
    starts_with_symbol = len(words.split(" ")[0].strip(",")) < 2
    return words if starts_with_symbol else words[:1].upper() + words[1:]
