"""Form built from the fields of a pydantic config."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from studio.ui.i18n.language import localized, tr
from studio.ui.shared.choice_labels import choice_label
from studio.ui.widgets.collapsible import CollapsibleSection
from studio.ui.widgets.components import HBox, VBox, container, text_label
from studio.ui.widgets.fields import ChoiceField, Field, FloatField, IntField, ListField, SwitchField, TextField

FIELD_WIDTH = 120
ONLY_IF = "only_if"
"""Key in ``json_schema_extra`` of the values of other fields that a field depends on; otherwise it is hidden."""

FOLDERS = "folders"
"""Key in ``json_schema_extra`` that marks a list of texts as folders."""


class ConfigForm(QWidget):
    """Form of the fields ``only`` of ``config``, or all.

    ``edited`` carries a name and a value.

    With a ``section_title``, the fields not in ``only`` are in a collapsible section of that title.
    """

    edited = Signal(str, object)

    def __init__(
        self, config: type[BaseModel], only: Sequence[str] = (), captions: bool = True, section_title: str = ""
    ) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self.advanced_section: CollapsibleSection | None = None
        self._rows: dict[str, QWidget] = {}
        self._conditions: dict[str, Mapping[str, Any]] = {}
        self._max_values: dict[str, float] = {}
        self._unused: Collection[str] = ()
        self._captions = captions
        outer = VBox()
        shown = tuple(only) or tuple(config.model_fields)
        outer.addLayout(self._column(config, shown))
        if section_title:
            self._advanced_defaults = {
                name: info.default for name, info in config.model_fields.items() if name not in shown
            }
            self.advanced_section = CollapsibleSection(
                section_title, self._column(config, tuple(self._advanced_defaults))
            )
            outer.addWidget(self.advanced_section)
        outer.addStretch(1)
        self.setLayout(outer)

    def _column(self, config: type[BaseModel], names: Sequence[str]) -> VBox:
        column = VBox(gap=12)
        for name in names:
            info = config.model_fields[name]
            line = container(self._build_row(name, info))
            column.addWidget(line)
            self._rows[name] = line
            extra = info.json_schema_extra
            if isinstance(extra, dict) and isinstance(condition := extra.get(ONLY_IF), dict):
                self._conditions[name] = condition
        return column

    def _build_row(self, name: str, info: FieldInfo) -> VBox:
        field = make_field(info)
        field.setAccessibleName(field_title(name, info))
        field.setAccessibleDescription(field_description(info))
        field.setToolTip(field_description(info))
        field.edited.connect(lambda value, name=name: self.edited.emit(name, value))
        self.fields[name] = field
        self._max_values[name] = field_bounds(info, 1)[1]
        label = text_label(field_title(name, info), "field")
        label.setBuddy(field)
        label.setToolTip(field_description(info))
        if isinstance(field, SwitchField):
            head: HBox = HBox(field, (label, 1))
        else:
            field.setFixedWidth(FIELD_WIDTH)
            head = HBox((label, 1), field)
        box = VBox(head, gap=2)
        if self._captions and info.description:
            box.addWidget(text_label(field_description(info), "caption", wrap=True))
        return box

    def set_limits(self, max_values: Mapping[str, int], unused: Collection[str]) -> None:
        """Limit integers to ``max_values``, hide ``unused`` fields with the next values."""
        self._unused = unused
        for name, field in self.fields.items():
            if isinstance(field, IntField):
                field.set_limit(min(self._max_values[name], max_values.get(name, math.inf)))

    def show_values(self, values: Mapping[str, Any], mixed: Collection[str] = ()) -> None:
        """Show ``values`` without a signal; ``mixed`` fields have several."""
        for name, field in self.fields.items():
            if name in mixed:
                field.show_mixed()
            elif name in values:
                field.show_value(values[name])
        for name, line in self._rows.items():
            condition = self._conditions.get(name, {}).items()
            applies = all(key in mixed or values.get(key) == value for key, value in condition)
            line.setHidden(name in self._unused or not applies)
        if self.advanced_section:
            changed = sum(
                name in values and values[name] != default for name, default in self._advanced_defaults.items()
            )
            self.advanced_section.set_note(tr("{n} changed", n=changed) if changed else "")


def make_field(info: FieldInfo) -> Field:
    """Return the input widget for a config field."""
    kind = _plain_type(info.annotation)
    if get_origin(kind) is Literal:
        return ChoiceField(get_args(kind), choice_label)
    if kind is bool:
        return SwitchField()
    if kind is int:
        return IntField(*field_bounds(info, 1))
    if kind is float:
        return FloatField(*field_bounds(info, 1e-12))
    if get_origin(kind) is tuple:
        extra = info.json_schema_extra
        return ListField(isinstance(extra, dict) and bool(extra.get(FOLDERS)))
    return TextField()


def _plain_type(annotation: Any) -> Any:
    """Return the type without ``| None``."""
    others = [kind for kind in get_args(annotation) if kind is not type(None)]
    return others[0] if others and get_origin(annotation) is not Literal and len(others) == 1 else annotation


def field_bounds(info: FieldInfo, step: float) -> tuple[float, float]:
    """Return the bounds of a field; an exclusive one moves inward by ``step``."""
    low, high = -math.inf, math.inf
    for rule in info.metadata:
        low = _bound(rule, "ge", 0, _bound(rule, "gt", step, low))
        high = _bound(rule, "le", 0, _bound(rule, "lt", -step, high))
    return low, high


def _bound(rule: Any, name: str, shift: float, otherwise: float) -> float:
    value = getattr(rule, name, None)
    return otherwise if value is None else value + shift


def field_title(name: str, info: FieldInfo) -> str:
    """Return the translated title, or "Learning rate" for ``learning_rate``."""
    return localized(info.title or name.replace("_", " ").capitalize())


def field_description(info: FieldInfo) -> str:
    """Return the description in the window's language, with a capital first letter."""
    text = localized(info.description or "").strip()
    starts_with_symbol = len(text.split(" ")[0].strip(",")) < 2
    return text if starts_with_symbol else text[:1].upper() + text[1:]
