"""The bulk attach bar: attach a method to a pattern in a range of blocks."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, wildcard_path
from studio.core.recipe import Attachment
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.adapters.attachment_form import parse_patterns, path_lines, skipped_lines
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count
from studio.ui.widgets.collapsible import CollapsibleSection
from studio.ui.widgets.components import HBox, IconButton, VBox, container, repolish, scroll_area, text_label
from studio.ui.widgets.fields import IntField, guard_wheel

_MIN_CAPTION_WIDTH = 500


class BulkAttachBar(QWidget):
    """Method, pattern and blocks.

    ``targets_changed`` carries the paths that they match now.
    """

    targets_changed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._layers: tuple[Layer, ...] = ()
        self._completer_ready = False
        self.attachment: Attachment | None = None
        self.method_box = QComboBox()
        self.method_box.setAccessibleName(tr("Method to attach"))
        self.method_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        guard_wheel(self.method_box)
        self.pattern_edit = QLineEdit()
        self.pattern_edit.setPlaceholderText(tr("pattern, such as attn.qkv"))
        self.pattern_edit.setAccessibleName(tr("Target pattern"))
        self.pattern_edit.setToolTip(
            tr("A layer's path or the end of it; * is one part of a path, ** any number, {6..11} a range")
        )
        self.first_block, self.last_block = IntField(0, 0), IntField(0, 0)
        self.first_block.setAccessibleName(tr("First block"))
        self.last_block.setAccessibleName(tr("Last block"))
        self.attach_button = IconButton(tr("Attach to the matching layers (Enter)"), "plus", self.attach)
        self.result_label = text_label("", "caption", wrap=True)
        self.details = text_label("", "caption", wrap=True)
        details = scroll_area(self.details)
        details.setFixedHeight(112)
        self.details_section = CollapsibleSection(tr("Matching layers"), VBox(details))
        self._result = container(VBox(self.result_label, self.details_section, gap=2))
        in_blocks, dash = text_label(tr("in blocks"), "muted"), text_label("–", "muted")
        self._blocks = container(HBox(in_blocks, self.first_block, dash, self.last_block, gap=4))
        self._captions = (text_label(tr("Attach"), "muted"), text_label(tr("to"), "muted"))
        attach, to = self._captions
        row = HBox(attach, self.method_box, to, (self.pattern_edit, 1), self._blocks, self.attach_button, gap=5)
        self.setLayout(VBox(row, self._result, gap=4))
        self._result.hide()
        self._connect()

    def _connect(self) -> None:
        self.pattern_edit.textEdited.connect(self._offer_completions)
        self.pattern_edit.textChanged.connect(lambda _: self.show_matches())
        self.pattern_edit.returnPressed.connect(self.attach)
        self.method_box.currentIndexChanged.connect(lambda _: self.show_matches())
        for field in (self.first_block, self.last_block):
            field.setKeyboardTracking(True)
            field.setFixedWidth(50)
            field.edited.connect(lambda _: self.show_matches())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: hide the captions between the fields if the bar is narrow."""
        super().resizeEvent(event)
        is_wide = self.width() >= _MIN_CAPTION_WIDTH
        for caption in self._captions:
            caption.setVisible(is_wide)
        self.method_box.setFixedWidth(144 if is_wide else 100)

    def view_state(self) -> dict[str, Any]:
        """Return method, pattern and blocks."""
        return {
            "method": self.method_box.currentData(),
            "pattern": self.pattern_edit.text(),
            "blocks": (self.first_block.value(), self.last_block.value()),
        }

    def restore_view_state(self, state: Mapping[str, Any]) -> None:
        """Restore the values of :meth:`view_state`."""
        self.select_method(state.get("method") or "")
        for field, value in zip((self.first_block, self.last_block), state.get("blocks", ()), strict=False):
            field.show_value(value)
        self.pattern_edit.setText(state.get("pattern", ""))

    def show_methods(self, rows: tuple[MethodRow, ...]) -> None:
        """Offer these methods."""
        self.method_box.blockSignals(True)
        self.method_box.clear()
        for row in rows:
            self.method_box.addItem(localized(row.label), row.name)
        self.method_box.blockSignals(False)

    def select_method(self, method: str) -> None:
        """Select the method that is selected in the palette."""
        if (row := self.method_box.findData(method)) >= 0:
            self.method_box.setCurrentIndex(row)

    def show_layers(self, layers: tuple[Layer, ...]) -> None:
        """Offer the path suffixes of ``layers`` and the range of their blocks."""
        self._layers = layers
        blocks = [layer.block for layer in layers if layer.block is not None]
        last = max(blocks, default=0)
        for field, value in ((self.first_block, 0), (self.last_block, last)):
            field.blockSignals(True)
            field.setRange(0, last)
            field.blockSignals(False)
            field.show_value(value)
        self._blocks.setVisible(bool(blocks))
        self._completer_ready = False
        self.show_matches()

    def _offer_completions(self, text: str) -> None:
        """Offer the path suffixes once a pattern is typed."""
        if not self._completer_ready:
            completer = QCompleter(_path_suffixes(self._layers), self)
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.popup().setObjectName("completions")
            self.pattern_edit.setCompleter(completer)
            self._completer_ready = True

    def show_matches(self) -> None:
        """Show which layers the pattern matches now."""
        patterns = parse_patterns(self.pattern_edit.text())
        self.attachment = None
        self._result.setVisible(bool(patterns))
        if not patterns or not self._layers or not self.method_box.currentData():
            self._mark_invalid(False)
            self.targets_changed.emit(frozenset())
            return
        try:
            self._show(self._build_attachment(patterns))
        except StudioError as error:
            self._show_result(localized(error.message), is_error=True)
            self.targets_changed.emit(frozenset())

    def _build_attachment(self, patterns: tuple[str, ...]) -> Attachment:
        from studio.peft.target_builder import restrict_to_blocks
        from studio.peft.targets import unique_name

        if self.first_block.value() > self.last_block.value():
            raise StudioError("bad-value", "The first block is after the last. Swap them.")
        method = self._workspace.engine.method(self.method_box.currentData())
        at = restrict_to_blocks(patterns, self.first_block.value(), self.last_block.value(), self._layers)
        if not at:
            raise StudioError(
                "no-match",
                "No layer in these blocks matches {patterns}. Change the pattern or the blocks.",
                patterns=", ".join(patterns),
            )
        used_names = [a.name for a in self._workspace.recipe.attachments]
        config = method.configure({}).model_dump()
        return Attachment(name=unique_name(method.name, used_names), method=method.name, at=at, config=config)

    def _show(self, attachment: Attachment) -> None:
        result = self._workspace.engine.match_targets(attachment)
        self.targets_changed.emit(frozenset(layer.path for layer in result.matched))
        self.details.setText("\n".join([*path_lines(result.matched), *skipped_lines(result)]))
        if result.problem:
            self._show_result(localized(result.problem), is_error=True)
            return
        self.attachment = attachment
        text = _match_text(len(result.matched), len(result.skipped))
        self._show_result(text, is_error=False)
        self._workspace.preview((attachment,), lambda added: self._show_added(attachment, text, added))

    def _show_added(self, attachment: Attachment, message: str, added: int) -> None:
        if attachment is self.attachment:
            text = tr("{matches}: +{added} parameters", matches=message, added=format_count(added))
            self._show_result(text, is_error=False)

    def _show_result(self, message: str, is_error: bool) -> None:
        self.result_label.setText(message)
        self.result_label.setProperty("role", "bad" if is_error else "caption")
        repolish(self.result_label)
        self._mark_invalid(is_error)
        self.details_section.setVisible(bool(self.details.text()) and bool(self._layers))
        self.attach_button.setEnabled(not is_error)

    def _mark_invalid(self, invalid: bool) -> None:
        self.pattern_edit.setProperty("wrong", invalid)
        repolish(self.pattern_edit)

    def attach(self) -> None:
        """Attach to the matching layers as one step of the history, and clear the pattern."""
        if self.attachment is not None and self._workspace.attach_as_is(self.attachment):
            self.pattern_edit.clear()


def _match_text(matched: int, skipped: int) -> str:
    if not skipped:
        return tr_n("Matches {n:,} layer", "Matches {n:,} layers", matched)
    return tr_n(
        "Matches {n:,} layer, skips {skipped:,}", "Matches {n:,} layers, skips {skipped:,}", matched, skipped=skipped
    )


def _path_suffixes(layers: tuple[Layer, ...]) -> list[str]:
    """Return the different path suffixes inside blocks, and the paths outside them."""
    found: dict[str, None] = {}
    for layer in layers:
        if layer.path and layer.parameters:
            kind = wildcard_path(layer.path)
            found[kind.rpartition("*.")[2] if layer.block is not None else kind] = None
    return sorted(found)
