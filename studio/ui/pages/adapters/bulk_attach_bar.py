"""The rule line: attach a method to a pattern in a range of blocks, with what that comes to while it is typed."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer, wildcard_path
from studio.core.recipe import Attachment
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.attachment_form import patterns, some
from studio.ui.services.method_rows import MethodRow
from studio.ui.services.workspace import Workspace
from studio.ui.style.formatting import count, plural
from studio.ui.widgets.collapsible import Fold
from studio.ui.widgets.components import Column, IconButton, Row, holder, restyle, scrolled, text
from studio.ui.widgets.fields import IntField, guard_wheel

_ROOM_FOR_WORDS = 500


class RuleLine(QWidget):
    """``targets_changed`` carries the paths that the rule matches as it stands."""

    targets_changed = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._layers: tuple[Layer, ...] = ()
        self._offers = False
        self.attachment: Attachment | None = None
        self.method = QComboBox()
        self.method.setAccessibleName(tr("Method of the rule"))
        self.method.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        guard_wheel(self.method)
        self.pattern = QLineEdit()
        self.pattern.setPlaceholderText(tr("pattern, such as attn.qkv"))
        self.pattern.setAccessibleName(tr("Pattern of the rule"))
        self.pattern.setToolTip(
            tr("The end of a layer's path, or all of it. * is one part of a path, ** any number, {6..11} a range.")
        )
        self.first, self.last = IntField(0, 0), IntField(0, 0)
        self.first.setAccessibleName(tr("First block of the rule"))
        self.last.setAccessibleName(tr("Last block of the rule"))
        self.go = IconButton(tr("Attach by this rule (Enter)"), "plus", self.attach)
        self.says = text("", "caption", wrap=True)
        self.details = text("", "caption", wrap=True)
        details = scrolled(self.details)
        details.setFixedHeight(112)
        self.fold = Fold(tr("Which layers"), Column(details))
        self._result = holder(Column(self.says, self.fold, gap=2))
        self._blocks = holder(Row(text(tr("in blocks"), "muted"), self.first, text("–", "muted"), self.last, gap=4))
        self._words = (text(tr("Attach"), "muted"), text(tr("to"), "muted"))
        first, then = self._words
        row = Row(first, self.method, then, (self.pattern, 1), self._blocks, self.go, gap=5)
        self.setLayout(Column(row, self._result, gap=4))
        self._result.hide()
        self._connect()

    def _connect(self) -> None:
        self.pattern.textEdited.connect(self._offer)
        self.pattern.textChanged.connect(lambda _: self.show_matches())
        self.pattern.returnPressed.connect(self.attach)
        self.method.currentIndexChanged.connect(lambda _: self.show_matches())
        for field in (self.first, self.last):
            field.setKeyboardTracking(True)
            field.setFixedWidth(50)
            field.edited.connect(lambda _: self.show_matches())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is little room, fields matter more than the words between them."""
        super().resizeEvent(event)
        roomy = self.width() >= _ROOM_FOR_WORDS
        for words in self._words:
            words.setVisible(roomy)
        self.method.setFixedWidth(144 if roomy else 100)

    def say_again(self) -> None:
        """Say the matches in another language."""
        self.show_matches()

    def show_methods(self, rows: tuple[MethodRow, ...]) -> None:
        """Offer these methods."""
        self.method.blockSignals(True)
        self.method.clear()
        for row in rows:
            self.method.addItem(tr(row.label), row.name)
        self.method.blockSignals(False)

    def choose(self, method: str) -> None:
        """Choose the method that is chosen in the palette."""
        if (row := self.method.findData(method)) >= 0:
            self.method.setCurrentIndex(row)

    def show_layers(self, layers: tuple[Layer, ...]) -> None:
        """Offer the endings of the layers' paths, and as many blocks as there are."""
        self._layers = layers
        blocks = [layer.block for layer in layers if layer.block is not None]
        highest = max(blocks, default=0)
        for field, value in ((self.first, 0), (self.last, highest)):
            field.blockSignals(True)
            field.setRange(0, highest)
            field.blockSignals(False)
            field.show_value(value)
        self._blocks.setVisible(bool(blocks))
        self._offers = False
        self.show_matches()

    def _offer(self, words: str) -> None:
        """Once a pattern is typed, offer the endings that there are."""
        if not self._offers:
            completer = QCompleter(_endings(self._layers), self)
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.popup().setObjectName("completions")
            self.pattern.setCompleter(completer)
            self._offers = True

    def show_matches(self) -> None:
        """Say what the rule comes to as it stands."""
        words = patterns(self.pattern.text())
        self.attachment = None
        self._result.setVisible(bool(words))
        if not words or not self._layers or not self.method.currentData():
            self._mark(wrong=False)
            self.targets_changed.emit(frozenset())
            return
        try:
            self._show(self._made(words))
        except StudioError as error:
            self._say(tr(str(error)), wrong=True)
            self.targets_changed.emit(frozenset())

    def _made(self, words: tuple[str, ...]) -> Attachment:
        from studio.peft.target_builder import in_blocks
        from studio.peft.targets import unused_name

        if self.first.value() > self.last.value():
            raise StudioError("The first block comes after the last; turn them round.")
        method = self._workspace.engine.method(self.method.currentData())
        at = in_blocks(words, self.first.value(), self.last.value(), self._layers)
        if not at:
            raise StudioError(f"No layer in these blocks matches {', '.join(words)}.")
        taken = [a.name for a in self._workspace.recipe.attachments]
        config = method.configure({}).model_dump()
        return Attachment(name=unused_name(method.name, taken), method=method.name, at=at, config=config)

    def _show(self, attachment: Attachment) -> None:
        found = self._workspace.engine.resolve(attachment)
        self.targets_changed.emit(frozenset(layer.path for layer in found.matched))
        lines = [*some([layer.path or "." for layer in found.matched])]
        if found.skipped:
            lines += [
                tr("Skips {layers}", layers=plural(len(found.skipped), "layer")),
                *some([f"{s.path}: {tr(s.reason)}" for s in found.skipped]),
            ]
        self.details.setText("\n".join(lines))
        if found.problem:
            self._say(tr(found.problem), wrong=True)
            return
        self.attachment = attachment
        words = tr("Matches {layers}", layers=plural(len(found.matched), "layer"))
        if found.skipped:
            words = tr("{matches}, skips {n}", matches=words, n=count(len(found.skipped)))
        self._say(words, wrong=False)
        self._workspace.preview((attachment,), lambda added: self._show_added(attachment, words, added))

    def _show_added(self, attachment: Attachment, words: str, added: int) -> None:
        if attachment is self.attachment:
            self._say(tr("{words}: +{added} parameters", words=words, added=count(added)), wrong=False)

    def _say(self, words: str, wrong: bool) -> None:
        self.says.setText(words)
        self.says.setProperty("role", "bad" if wrong else "caption")
        restyle(self.says)
        self._mark(wrong)
        self.fold.setVisible(bool(self.details.text()) and bool(self._layers))
        self.go.setEnabled(not wrong)

    def _mark(self, wrong: bool) -> None:
        self.pattern.setProperty("wrong", wrong)
        restyle(self.pattern)

    def attach(self) -> None:
        """Attach by the rule as one step of the history, and make room for the next."""
        if self.attachment is not None and self._workspace.attaching.attach_rule(self.attachment):
            self.pattern.clear()


def _endings(layers: tuple[Layer, ...]) -> list[str]:
    """The different endings of paths inside blocks, and the paths outside them."""
    found: dict[str, None] = {}
    for layer in layers:
        if layer.path and layer.parameters:
            kind = wildcard_path(layer.path)
            found[kind.rpartition("*.")[2] if layer.block is not None else kind] = None
    return sorted(found)
