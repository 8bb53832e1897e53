"""The settings of one attachment, or those that several have in common, and where they attach."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from html import escape
from typing import Any

from pydantic.fields import FieldInfo
from PySide6.QtWidgets import QLabel, QWidget

from studio.core.errors import StudioError
from studio.core.recipe import Attachment
from studio.ui.i18n.language import tr
from studio.ui.pages.adapters.placement_diagram import PlacementDiagram
from studio.ui.services.workspace import Workspace
from studio.ui.shared.config_form import ConfigForm
from studio.ui.style.formatting import format_count, pluralize
from studio.ui.style.theme import theme
from studio.ui.widgets.components import HBox, VBox, button, clear_layout, container, repolish, separator, text_label
from studio.ui.widgets.fields import IntField, SwitchField, TextField

_MAX_LISTED = 6


class AttachmentForm(QWidget):
    """The form: for several attachments a field shows their common value, or that there are several.

    An edit goes to all of them.
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
            tr("Layer paths, separated by commas. * is one part of a path, ** any number, {6..11} a range.")
        )
        self.targets.textEdited.connect(lambda words: self.show_matches())
        self.targets.edited.connect(self._edit_targets)
        self.matches_label = text_label("", "caption", wrap=True)
        self.slice_switches = {part: SwitchField() for part in ("q", "k", "v")}
        for part, switch in self.slice_switches.items():
            switch.setText(part)
            switch.edited.connect(lambda on, part=part: self._edit_slice(part, on))
        parts = HBox(*self.slice_switches.values(), None, gap=18)
        self.slice_row = container(VBox(text_label(tr("Slices of the fused qkv"), "field"), parts, gap=6))
        self.default_targets_button = button(tr("Attach to its usual layers"), self._use_default_targets, "layers")
        where = (
            separator(),
            2,
            text_label(tr("Attached to"), "field"),
            self.targets,
            self.matches_label,
            self.default_targets_button,
        )
        self.targets_section = container(VBox(*where, gap=6))
        self.form_box = VBox()
        head = (self.title, self.summary, self.diagram, self.paper_label)
        rest = (4, self.form_box, 4, self.targets_section, self.slice_row, None)
        self.setLayout(VBox(*head, *rest, gap=6, margins=(0, 0, 6, 0)))

    @property
    def form(self) -> ConfigForm | None:
        """The form of the method's own fields, where there are any."""
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
            self._drop_form(first if single else None, str(error))
        else:
            self._show_header(methods)
            self._show_form(methods)
        self._show_slices()
        self.show_matches()

    def refresh(self) -> None:
        """Show what the attachments come to on what may be another backbone."""
        if self._attachments:
            self.show_attachments(self._attachments)

    def _show_header(self, methods: Sequence[Any]) -> None:
        first, one = self._attachments[0], len({method.name for method in methods}) == 1
        many = len(self._attachments) > 1
        name = pluralize(len(self._attachments), "attachment") if many else first.name
        self.title.setText(f"{tr(methods[0].label)}: {name}" if one else name)
        names = ", ".join(a.name for a in self._attachments)
        several = tr("{names}. A change goes to all of them.", names=names)
        self.summary.setText(several if many else tr(methods[0].summary))
        self.diagram.setVisible(one)
        self._paper = methods[0].paper if one else ""
        self._color_link()

    def _show_form(self, methods: Sequence[Any]) -> None:
        configs = [method.Config for method in methods]
        common = tuple(name for name in configs[0].model_fields if _is_shared_field(name, configs))
        kinds = (methods[0].name, *common)
        if self._form_key != kinds:
            clear_layout(self.form_box)
            self._form, self._form_key = None, kinds
            if common:
                self._form = ConfigForm(configs[0], common)
                self._form.edited.connect(self._edit_config)
                self._skip_unsupported_values(self._form)
                self.form_box.addWidget(self._form)
            elif len(methods) > 1:
                self.form_box.addWidget(
                    text_label(tr("These methods have no settings in common."), "caption", wrap=True)
                )
        if self._form is not None:
            values = [_values(c, a) for c, a in zip(configs, self._attachments, strict=True)]
            mixed = {name for name in common if any(v[name] != values[0][name] for v in values)}
            self._form.set_limits(*self._field_limits(methods))
            self._form.show_values(values[0], mixed)

    def _field_limits(self, methods: Sequence[Any]) -> tuple[dict[str, int], frozenset[str]]:
        """How high fields may go where the attachments are, and which change nothing there."""
        engine, most = self._workspace.engine, dict[str, int]()
        idle: list[frozenset[str]] = []
        for method, attachment in zip(methods, self._attachments, strict=True):
            if sites := engine.match_targets(attachment).matched:
                idle.append(method.unused_fields(sites, engine.layers))
                for name, highest in method.max_values(sites, attachment.slices, engine.layers).items():
                    most[name] = min(highest, most.get(name, highest))
        return most, frozenset.intersection(*idle) if idle else frozenset()

    def _skip_unsupported_values(self, form: ConfigForm) -> None:
        """Let whole numbers step over those that the layers refuse."""
        for name, field in form.fields.items():
            if isinstance(field, IntField):
                field.accepts = partial(self._accepts, name)

    def _accepts(self, name: str, value: int) -> bool:
        return not self._unsupported_reason(name, value)

    def _unsupported_reason(self, name: str, value: Any) -> str:
        lost = self._workspace.attachment_editor.unsupported_value_reason
        return next(filter(None, (lost(a, name, value) for a in self._attachments)), "")

    def _drop_form(self, attachment: Attachment | None, reason: str) -> None:
        clear_layout(self.form_box)
        self._form, self._form_key = None, ()
        self.title.setText(attachment.name if attachment else pluralize(len(self._attachments), "attachment"))
        self.summary.setText(tr(reason))
        self.diagram.hide()
        self._paper = ""
        self._color_link()

    def _show_slices(self) -> None:
        for part, switch in self.slice_switches.items():
            taken = {part in a.slices for a in self._attachments}
            if len(taken) > 1:
                switch.show_mixed()
            else:
                switch.show_value(taken.pop())

    def show_matches(self) -> None:
        """Say which layers the patterns in the field match and skip; draw where the module sits at the first."""
        if not self._attachments or not self._workspace.engine.layers:
            return
        resolve, first = self._workspace.engine.match_targets, self._attachments[0]
        if len(self._attachments) > 1:
            found = [resolve(a) for a in self._attachments]
            self.slice_row.setVisible(all(any(layer.slices for layer in f.matched) for f in found))
            self._draw_placement({layer.name for f in found for layer in f.matched})
            return
        at = parse_patterns(self.targets.text())
        self.default_targets_button.hide()
        if not at:
            self._show_match_text(tr("Name at least one layer or pattern."), bad=True)
            return
        one = resolve(first.model_copy(update={"at": at}))
        self.slice_row.setVisible(any(layer.slices for layer in one.matched))
        self._draw_placement({layer.name for layer in one.matched})
        if one.problem:
            self._show_match_text(tr(one.problem), bad=True)
            self.default_targets_button.setVisible(self._workspace.attachment_editor.retargeted(first) is not None)
            return
        self._show_match_text("\n".join(_match_lines(one)), bad=False)

    def _draw_placement(self, names: Iterable[str]) -> None:
        """Draw the module at layers of these names."""
        shown = sorted(set(names) - {""})
        try:
            method = self._workspace.engine.method(self._attachments[0].method)
        except StudioError:
            return
        self.diagram.show_diagram(
            method.diagram, method.family, ", ".join(shown[:3]) if len(shown) < 4 else tr("layers")
        )

    def _show_match_text(self, message: str, bad: bool) -> None:
        self.matches_label.setText(message)
        self.matches_label.setProperty("role", "bad" if bad else "caption")
        repolish(self.matches_label)
        self.targets.setProperty("wrong", bad)
        repolish(self.targets)

    def _color_link(self) -> None:
        self.paper_label.setText(paper_link(self._paper))
        self.paper_label.setVisible(bool(self._paper))

    # editing

    def _edit_config(self, name: str, value: Any) -> None:
        """Change a field; where a layer would refuse that, say why and show what was there."""
        if why := self._unsupported_reason(name, value):
            self.show_attachments(self._attachments)
            self._workspace.edit_rejected.emit(tr(why))
            return
        changes = {a.name: {"config": dict(a.config) | {name: value}} for a in self._attachments}
        self._workspace.change_attachments(changes, name)

    def _edit_targets(self, text: str) -> None:
        if len(self._attachments) == 1 and (at := parse_patterns(text)):
            self._workspace.change_attachment(self._attachments[0].name, {"at": at})

    def _use_default_targets(self) -> None:
        """On another backbone, what the patterns meant has other names."""
        if usual := self._workspace.attachment_editor.retargeted(self._attachments[0]):
            self._workspace.change_attachment(usual.name, {"at": usual.at, "slices": usual.slices})

    def _edit_slice(self, part: str, on: bool) -> None:
        slices = {a.name: tuple(p for p in "qkv" if (p in a.slices if p != part else on)) for a in self._attachments}
        self._workspace.change_attachments({name: {"slices": chosen} for name, chosen in slices.items()})


def _values(config: Any, attachment: Attachment) -> dict[str, Any]:
    defaults = {name: info.get_default(call_default_factory=True) for name, info in config.model_fields.items()}
    return defaults | dict(attachment.config)


def _is_shared_field(name: str, configs: Sequence[Any]) -> bool:
    """Whether all ``configs`` have the field with the same type and bounds."""
    infos: list[FieldInfo | None] = [config.model_fields.get(name) for config in configs]
    first = infos[0]
    return first is not None and all(
        info is not None and info.annotation == first.annotation and info.metadata == first.metadata for info in infos
    )


def _match_lines(result: Any) -> list[str]:
    lines = [
        tr("Matches {layers}", layers=pluralize(len(result.matched), "layer")),
        *first_lines([layer.path or "." for layer in result.matched]),
    ]
    if result.skipped:
        lines += [
            tr("Skips {layers}", layers=pluralize(len(result.skipped), "layer")),
            *first_lines([f"{s.path}: {tr(s.reason)}" for s in result.skipped]),
        ]
    return lines


def parse_patterns(text: str) -> tuple[str, ...]:
    """The patterns in a field, separated by commas or spaces."""
    return tuple(re.split(r"[,\s]+", text.strip(", \t"))) if text.strip(", \t") else ()


def paper_link(paper: str) -> str:
    """A paper's name as a link to it, where its address stands behind the name."""
    name, _, address = paper.rpartition(", http")
    if not address:
        return escape(paper)
    return f'<a href="http{escape(address)}" style="color: {theme().tokens.accent}">{escape(name)}</a>'


def first_lines(lines: list[str]) -> list[str]:
    """The first few of ``lines``, and how many more there are."""
    shown = [f"   {entry}" for entry in lines[:_MAX_LISTED]]
    return (
        shown
        if len(lines) <= _MAX_LISTED
        else [*shown, "   " + tr("and {n} more", n=format_count(len(lines) - _MAX_LISTED))]
    )
