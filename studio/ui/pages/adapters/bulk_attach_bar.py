"""The rule line: attach a method to a pattern in a range of blocks, with what that comes to while it is typed."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, wildcard_path
from studio.core.recipe import Attachment
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.attachment_form import first_lines, parse_patterns
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import format_count, pluralize
from studio.ui.widgets.collapsible import CollapsibleSection
from studio.ui.widgets.components import HBox, IconButton, VBox, container, repolish, scroll_area, text_label
from studio.ui.widgets.fields import IntField, guard_wheel

_MIN_CAPTION_WIDTH = 500


class BulkAttachBar(QWidget):
    """``targets_changed`` carries the paths that the rule matches as it stands."""

    targets_changed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._layers: tuple[Layer, ...] = ()
        self._completer_ready = False
        self.attachment: Attachment | None = None
        self.method_box = QComboBox()
        self.method_box.setAccessibleName(tr("Method of the rule"))
        self.method_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        guard_wheel(self.method_box)
        self.pattern_edit = QLineEdit()
        self.pattern_edit.setPlaceholderText(tr("pattern, such as attn.qkv"))
        self.pattern_edit.setAccessibleName(tr("Pattern of the rule"))
        self.pattern_edit.setToolTip(
            tr("The end of a layer's path, or all of it. * is one part of a path, ** any number, {6..11} a range.")
        )
        self.first_block, self.last_block = IntField(0, 0), IntField(0, 0)
        self.first_block.setAccessibleName(tr("First block of the rule"))
        self.last_block.setAccessibleName(tr("Last block of the rule"))
        self.attach_button = IconButton(tr("Attach by this rule (Enter)"), "plus", self.attach)
        self.result_label = text_label("", "caption", wrap=True)
        self.details = text_label("", "caption", wrap=True)
        details = scroll_area(self.details)
        details.setFixedHeight(112)
        self.details_section = CollapsibleSection(tr("Which layers"), VBox(details))
        self._result = container(VBox(self.result_label, self.details_section, gap=2))
        self._blocks = container(
            HBox(
                text_label(tr("in blocks"), "muted"), self.first_block, text_label("–", "muted"), self.last_block, gap=4
            )
        )
        self._captions = (text_label(tr("Attach"), "muted"), text_label(tr("to"), "muted"))
        first, then = self._captions
        row = HBox(first, self.method_box, then, (self.pattern_edit, 1), self._blocks, self.attach_button, gap=5)
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
        """Qt: where there is little room, fields matter more than the words between them."""
        super().resizeEvent(event)
        roomy = self.width() >= _MIN_CAPTION_WIDTH
        for words in self._captions:
            words.setVisible(roomy)
        self.method_box.setFixedWidth(144 if roomy else 100)

    def retranslate(self) -> None:
        """Say the matches in another language."""
        self.show_matches()

    def show_methods(self, rows: tuple[MethodRow, ...]) -> None:
        """Offer these methods."""
        self.method_box.blockSignals(True)
        self.method_box.clear()
        for row in rows:
            self.method_box.addItem(tr(row.label), row.name)
        self.method_box.blockSignals(False)

    def select_method(self, method: str) -> None:
        """Choose the method that is chosen in the palette."""
        if (row := self.method_box.findData(method)) >= 0:
            self.method_box.setCurrentIndex(row)

    def show_layers(self, layers: tuple[Layer, ...]) -> None:
        """Offer the endings of the layers' paths, and as many blocks as there are."""
        self._layers = layers
        blocks = [layer.block for layer in layers if layer.block is not None]
        highest = max(blocks, default=0)
        for field, value in ((self.first_block, 0), (self.last_block, highest)):
            field.blockSignals(True)
            field.setRange(0, highest)
            field.blockSignals(False)
            field.show_value(value)
        self._blocks.setVisible(bool(blocks))
        self._completer_ready = False
        self.show_matches()

    def _offer_completions(self, text: str) -> None:
        """Once a pattern is typed, offer the endings that there are."""
        if not self._completer_ready:
            completer = QCompleter(_path_suffixes(self._layers), self)
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.popup().setObjectName("completions")
            self.pattern_edit.setCompleter(completer)
            self._completer_ready = True

    def show_matches(self) -> None:
        """Say what the rule comes to as it stands."""
        words = parse_patterns(self.pattern_edit.text())
        self.attachment = None
        self._result.setVisible(bool(words))
        if not words or not self._layers or not self.method_box.currentData():
            self._mark_invalid(wrong=False)
            self.targets_changed.emit(frozenset())
            return
        try:
            self._show(self._build_attachment(words))
        except StudioError as error:
            self._show_result(tr(str(error)), wrong=True)
            self.targets_changed.emit(frozenset())

    def _build_attachment(self, patterns: tuple[str, ...]) -> Attachment:
        from studio.peft.target_builder import restrict_to_blocks
        from studio.peft.targets import unique_name

        if self.first_block.value() > self.last_block.value():
            raise StudioError("The first block comes after the last; turn them round.")
        method = self._workspace.engine.method(self.method_box.currentData())
        at = restrict_to_blocks(patterns, self.first_block.value(), self.last_block.value(), self._layers)
        if not at:
            raise StudioError(f"No layer in these blocks matches {', '.join(patterns)}.")
        taken = [a.name for a in self._workspace.recipe.attachments]
        config = method.configure({}).model_dump()
        return Attachment(name=unique_name(method.name, taken), method=method.name, at=at, config=config)

    def _show(self, attachment: Attachment) -> None:
        found = self._workspace.engine.match_targets(attachment)
        self.targets_changed.emit(frozenset(layer.path for layer in found.matched))
        lines = [*first_lines([layer.path or "." for layer in found.matched])]
        if found.skipped:
            lines += [
                tr("Skips {layers}", layers=pluralize(len(found.skipped), "layer")),
                *first_lines([f"{s.path}: {tr(s.reason)}" for s in found.skipped]),
            ]
        self.details.setText("\n".join(lines))
        if found.problem:
            self._show_result(tr(found.problem), wrong=True)
            return
        self.attachment = attachment
        words = tr("Matches {layers}", layers=pluralize(len(found.matched), "layer"))
        if found.skipped:
            words = tr("{matches}, skips {n}", matches=words, n=format_count(len(found.skipped)))
        self._show_result(words, wrong=False)
        self._workspace.preview((attachment,), lambda added: self._show_added(attachment, words, added))

    def _show_added(self, attachment: Attachment, message: str, added: int) -> None:
        if attachment is self.attachment:
            self._show_result(tr("{words}: +{added} parameters", words=message, added=format_count(added)), wrong=False)

    def _show_result(self, message: str, wrong: bool) -> None:
        self.result_label.setText(message)
        self.result_label.setProperty("role", "bad" if wrong else "caption")
        repolish(self.result_label)
        self._mark_invalid(wrong)
        self.details_section.setVisible(bool(self.details.text()) and bool(self._layers))
        self.attach_button.setEnabled(not wrong)

    def _mark_invalid(self, wrong: bool) -> None:
        self.pattern_edit.setProperty("wrong", wrong)
        repolish(self.pattern_edit)

    def attach(self) -> None:
        """Attach by the rule as one step of the history, and make room for the next."""
        if self.attachment is not None and self._workspace.attach_as_is(self.attachment):
            self.pattern_edit.clear()


def _path_suffixes(layers: tuple[Layer, ...]) -> list[str]:
    """The different endings of paths inside blocks, and the paths outside them."""
    found: dict[str, None] = {}
    for layer in layers:
        if layer.path and layer.parameters:
            kind = wildcard_path(layer.path)
            found[kind.rpartition("*.")[2] if layer.block is not None else kind] = None
    return sorted(found)
