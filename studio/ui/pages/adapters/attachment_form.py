"""The form of one or several attachments, with the targets."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo
from PySide6.QtWidgets import QLabel, QWidget

from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.adapters.placement_diagram import PlacementDiagram
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import ConfigForm
from studio.ui.style.theme import theme
from studio.ui.widgets.components import HBox, VBox, button, clear_layout, container, repolish, separator, text_label
from studio.ui.widgets.fields import IntField, SwitchField, TextField

if TYPE_CHECKING:
    from studio.peft.target_matching import MatchResult

_MAX_LISTED = 6


class AttachmentForm(QWidget):
    """The form; a field shows the common value of several attachments.

    An edit applies to all of them.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._attachments: tuple[Attachment, ...] = ()
        self._form: ConfigForm | None = None
        self._form_key: tuple[str, ...] = ()
        self._paper = ""
        self._build()
        theme().changed.connect(self._color_link)

    def _build(self) -> None:
        self.title, self.summary = text_label("", "heading", wrap=True), text_label("", "caption", wrap=True)
        self.diagram = PlacementDiagram()
        self.paper_label = QLabel()
        self.paper_label.setOpenExternalLinks(True)
        self.paper_label.setWordWrap(True)
        self.paper_label.setProperty("role", "caption")
        self.targets = TextField()
        self.targets.setAccessibleName(tr("Target layers"))
        self.targets.setToolTip(
            tr("Layer paths, separated by commas; * is one part of a path, ** any number, {6..11} a range")
        )
        self.targets.textEdited.connect(lambda text: self.show_matches())
        self.targets.edited.connect(self._edit_targets)
        self.matches_label = text_label("", "caption", wrap=True)
        self.slice_switches = {part: SwitchField() for part in ("q", "k", "v")}
        for part, switch in self.slice_switches.items():
            switch.setText(part)
            switch.edited.connect(lambda on, part=part: self._edit_slice(part, on))
        switches = HBox(*self.slice_switches.values(), None, gap=18)
        self.slice_row = container(VBox(text_label(tr("Slices of the fused qkv"), "field"), switches, gap=6))
        self.default_targets_button = button(tr("Use default targets"), self._use_default_targets, "layers")
        self.default_targets_button.setToolTip(tr("Attach to the default layers of this method on this backbone"))
        targets_label = text_label(tr("Targets"), "field")
        targets = (targets_label, self.targets, self.matches_label, self.default_targets_button)
        self.targets_section = container(VBox(separator(), 2, *targets, gap=6))
        self.form_box = VBox()
        head = (self.title, self.summary, self.diagram, self.paper_label)
        rest = (4, self.form_box, 4, self.targets_section, self.slice_row, None)
        self.setLayout(VBox(*head, *rest, gap=6, margins=(0, 0, 6, 0)))

    @property
    def form(self) -> ConfigForm | None:
        """The form of the method's own fields; None if there are none."""
        return self._form

    # showing

    def show_attachments(self, attachments: Sequence[Attachment]) -> None:
        """Show the values of ``attachments``, at least one."""
        self._attachments = tuple(attachments)
        first = attachments[0]
        single = len(attachments) == 1
        self.targets_section.setVisible(single)
        self.targets.show_value(", ".join(first.at) if single else "")
        try:
            methods = [self._workspace.engine.method(a.method) for a in attachments]
        except StudioError as error:
            self._drop_form(first if single else None, error.message)
        else:
            self._show_header(methods)
            self._show_form(methods)
        self._show_slices()
        self.show_matches()

    def refresh(self) -> None:
        """Show the matches anew, on what may be another backbone."""
        if self._attachments:
            self.show_attachments(self._attachments)

    def _show_header(self, methods: Sequence[Any]) -> None:
        one_method, several = len({method.name for method in methods}) == 1, len(self._attachments) > 1
        name = self._title_text()
        label = localized(methods[0].label)
        self.title.setText(tr("{method}: {name}", method=label, name=name) if one_method else name)
        names = ", ".join(a.name for a in self._attachments)
        text = tr("{names}: changes apply to all of them", names=names) if several else localized(methods[0].summary)
        self.summary.setText(text)
        self.diagram.setVisible(one_method)
        self._paper = methods[0].paper if one_method else ""
        self._color_link()

    def _title_text(self) -> str:
        count = len(self._attachments)
        return self._attachments[0].name if count == 1 else tr_n("{n} attachment", "{n} attachments", count)

    def _show_form(self, methods: Sequence[Any]) -> None:
        configs = [method.Config for method in methods]
        common = tuple(name for name in configs[0].model_fields if _is_shared_field(name, configs))
        key = (methods[0].name, *common)
        if self._form_key != key:
            self._form_key = key
            self._build_form(configs[0] if common else None, common)
        if self._form is not None:
            values = [_values(c, a) for c, a in zip(configs, self._attachments, strict=True)]
            mixed = {name for name in common if any(v[name] != values[0][name] for v in values)}
            self._form.set_limits(*self._field_limits(methods))
            self._form.show_values(values[0], mixed)

    def _build_form(self, config: Any, names: tuple[str, ...]) -> None:
        clear_layout(self.form_box)
        self._form = None
        if config is not None:
            self._form = ConfigForm(config, names)
            self._form.edited.connect(self._edit_config)
            self._skip_unsupported_values(self._form)
            self.form_box.addWidget(self._form)
        elif len(self._attachments) > 1:
            self.form_box.addWidget(text_label(tr("These methods have no settings in common."), "caption", wrap=True))

    def _field_limits(self, methods: Sequence[Any]) -> tuple[dict[str, int], frozenset[str]]:
        """Return the maxima of fields at the layers, and the fields without effect there."""
        engine, max_values = self._workspace.engine, dict[str, int]()
        unused: list[frozenset[str]] = []
        for method, attachment in zip(methods, self._attachments, strict=True):
            if sites := engine.match_targets(attachment).matched:
                unused.append(method.unused_fields(sites, engine.layers))
                for name, maximum in method.max_values(sites, attachment.slices, engine.layers).items():
                    max_values[name] = min(maximum, max_values.get(name, maximum))
        return max_values, frozenset.intersection(*unused) if unused else frozenset()

    def _skip_unsupported_values(self, form: ConfigForm) -> None:
        """Let whole numbers step over the values that the layers do not support."""
        for name, field in form.fields.items():
            if isinstance(field, IntField):
                field.accepts = partial(self._accepts, name)

    def _accepts(self, name: str, value: int) -> bool:
        return not self._unsupported_reason(name, value)

    def _unsupported_reason(self, name: str, value: Any) -> str:
        reason = self._workspace.attachment_editor.unsupported_value_reason
        return next(filter(None, (reason(a, name, value) for a in self._attachments)), "")

    def _drop_form(self, attachment: Attachment | None, reason: str) -> None:
        clear_layout(self.form_box)
        self._form, self._form_key = None, ()
        self.title.setText(attachment.name if attachment else self._title_text())
        self.summary.setText(localized(reason))
        self.diagram.hide()
        self._paper = ""
        self._color_link()

    def _show_slices(self) -> None:
        for part, switch in self.slice_switches.items():
            states = {part in a.slices for a in self._attachments}
            if len(states) > 1:
                switch.show_mixed()
            else:
                switch.show_value(states.pop())

    def show_matches(self) -> None:
        """Show which layers the patterns match and skip, and draw the module at them."""
        if not self._attachments or not self._workspace.engine.layers:
            return
        if len(self._attachments) > 1:
            results = [self._workspace.engine.match_targets(a) for a in self._attachments]
            self.slice_row.setVisible(all(any(layer.slices for layer in r.matched) for r in results))
            self._draw_placement({layer.name for r in results for layer in r.matched})
            return
        self.default_targets_button.hide()
        if at := parse_patterns(self.targets.text()):
            self._show_result(self._attachments[0], at)
        else:
            self._show_match_text(tr("Enter at least one layer or pattern."), is_error=True)

    def _show_result(self, attachment: Attachment, at: tuple[str, ...]) -> None:
        result = self._workspace.engine.match_targets(attachment.model_copy(update={"at": at}))
        self.slice_row.setVisible(any(layer.slices for layer in result.matched))
        self._draw_placement({layer.name for layer in result.matched})
        if result.problem:
            self._show_match_text(localized(result.problem), is_error=True)
            retargeted = self._workspace.attachment_editor.retargeted(attachment)
            self.default_targets_button.setVisible(retargeted is not None)
        else:
            matched = tr_n("Matches {n:,} layer", "Matches {n:,} layers", len(result.matched))
            lines = [matched, *path_lines(result.matched), *skipped_lines(result)]
            self._show_match_text("\n".join(lines), is_error=False)

    def _draw_placement(self, names: Iterable[str]) -> None:
        """Draw the module at layers of these names."""
        shown = sorted(set(names) - {""})
        try:
            method = self._workspace.engine.method(self._attachments[0].method)
        except StudioError:
            return
        name = ", ".join(shown[:3]) if len(shown) < 4 else tr("layers")
        self.diagram.show_diagram(method.info.diagram, name)

    def _show_match_text(self, message: str, is_error: bool) -> None:
        self.matches_label.setText(message)
        self.matches_label.setProperty("role", "bad" if is_error else "caption")
        repolish(self.matches_label)
        self.targets.setProperty("wrong", is_error)
        repolish(self.targets)

    def _color_link(self) -> None:
        self.paper_label.setText(paper_link(self._paper))
        self.paper_label.setVisible(bool(self._paper))

    # editing

    def _edit_config(self, name: str, value: Any) -> None:
        """Change a field, or show why no layer supports the value."""
        if reason := self._unsupported_reason(name, value):
            self.show_attachments(self._attachments)
            self._workspace.edit_rejected.emit(reason)
            return
        changes = {a.name: {"config": dict(a.config) | {name: value}} for a in self._attachments}
        self._workspace.change_attachments(changes, name)

    def _edit_targets(self, text: str) -> None:
        if len(self._attachments) == 1 and (at := parse_patterns(text)):
            self._workspace.change_attachment(self._attachments[0].name, {"at": at})

    def _use_default_targets(self) -> None:
        """Attach to the method's default layers, which differ between backbones."""
        if retargeted := self._workspace.attachment_editor.retargeted(self._attachments[0]):
            changes = {"at": retargeted.at, "slices": retargeted.slices}
            self._workspace.change_attachment(retargeted.name, changes)

    def _edit_slice(self, part: str, on: bool) -> None:
        slices = {a.name: tuple(p for p in "qkv" if (p in a.slices if p != part else on)) for a in self._attachments}
        self._workspace.change_attachments({name: {"slices": chosen} for name, chosen in slices.items()})


def _values(config: Any, attachment: Attachment) -> dict[str, Any]:
    defaults = {name: info.get_default(call_default_factory=True) for name, info in config.model_fields.items()}
    return defaults | dict(attachment.config)


def _is_shared_field(name: str, configs: Sequence[Any]) -> bool:
    """Return whether all ``configs`` have the field with the same type and bounds."""
    infos: list[FieldInfo | None] = [config.model_fields.get(name) for config in configs]
    first = infos[0]
    return first is not None and all(
        info is not None and info.annotation == first.annotation and info.metadata == first.metadata for info in infos
    )


def path_lines(layers: Sequence[Layer]) -> list[str]:
    """Return the first paths of ``layers``, one a line, and the number of the others."""
    return _first_lines([layer.path or "." for layer in layers])


def skipped_lines(result: "MatchResult") -> list[str]:
    """Return the first skipped layers with reasons, one a line.

    Return nothing if no layer is skipped.
    """
    if not result.skipped:
        return []
    head = tr_n("Skips {n:,} layer", "Skips {n:,} layers", len(result.skipped))
    return [head, *_first_lines([f"{layer.path}: {localized(layer.reason)}" for layer in result.skipped])]


def parse_patterns(text: str) -> tuple[str, ...]:
    """Return the patterns in a field, separated by commas or spaces."""
    return tuple(re.split(r"[,\s]+", text.strip(", \t"))) if text.strip(", \t") else ()


def paper_link(paper: str) -> str:
    """Return the name of a paper as a link, if ``paper`` ends with an address."""
    name, _, address = paper.rpartition(", http")
    if not address:
        return escape(paper)
    return f'<a href="http{escape(address)}" style="color: {theme().tokens.accent}">{escape(name)}</a>'


def _first_lines(lines: list[str]) -> list[str]:
    shown, more = lines[:_MAX_LISTED], len(lines) - _MAX_LISTED
    return [f"   {line}" for line in (*shown, *((tr("and {n:,} more", n=more),) if more > 0 else ()))]
