"""Attaching, copying, moving and taking off in the tree: what it would come to, and doing it as one step."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from studio.app.presets import Preset, fit_to_backbone
from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Recipe, Slice
from studio.ui.i18n.language import tr
from studio.ui.services import recipe_edits
from studio.ui.services.document import Document
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.engine import Engine
from studio.ui.services.tree_data import NodeRef


class AttachmentEditor:
    """Works on the document's recipe and the layers that the engine has counted last."""

    def __init__(self, document: Document, engine: Engine, run_edit: Callable[[Callable[[], Any]], bool]) -> None:
        self._document, self._engine, self._run_edit = document, engine, run_edit

    @property
    def _recipe(self) -> Recipe:
        return self._document.recipe

    @property
    def _used_names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self._recipe.attachments)

    # what it would come to

    def proposed_attachments(self, payload: DragPayload, refs: Sequence[NodeRef]) -> tuple[Attachment, ...]:
        """What putting ``payload`` down at ``refs`` would add; StudioError with the reason where it cannot."""
        layers = self._layers()
        if isinstance(payload, Preset):
            return fit_to_backbone(payload, layers, [spot.path for spot in refs], self._used_names)
        if isinstance(payload, LiftedAttachment):
            return self._copies(payload, refs, self._used_names)
        return self._build(payload, refs, {}, (), self._used_names)

    def _copies(
        self, lifted: LiftedAttachment, refs: Sequence[NodeRef], used_names: Sequence[str]
    ) -> tuple[Attachment, ...]:
        elsewhere = [spot for spot in refs if spot != lifted.ref]
        if not elsewhere:
            raise StudioError("It is attached here already; put it down on another layer.")
        whole = bool(lifted.ref.part)
        slices = cast(tuple[Slice, ...], (lifted.ref.part,)) if whole else lifted.attachment.slices
        return self._build(lifted.attachment.method, elsewhere, lifted.attachment.config, slices, used_names)

    def _build(
        self, method: str, refs: Sequence[NodeRef], config: Any, slices: tuple[Slice, ...], used_names: Sequence[str]
    ) -> tuple[Attachment, ...]:
        from studio.peft.target_builder import build_attachments

        places = [(spot.path, cast(Slice, spot.part) if spot.part else None) for spot in refs]
        return build_attachments(self._engine.method(method), self._layers(), places, used_names, config, slices)

    def attach_error(self, payload: DragPayload, refs: Sequence[NodeRef]) -> str:
        """Why ``payload`` cannot be put down at ``refs``; empty where it can."""
        try:
            self.proposed_attachments(payload, refs)
        except StudioError as error:
            return str(error)
        return ""

    def target_paths(self, attachments: Iterable[Attachment]) -> frozenset[str]:
        """The paths of the layers that ``attachments`` attach to."""
        return frozenset(layer.path for a in attachments for layer in self._engine.match_targets(a).matched)

    def same_kind(self, refs: Iterable[NodeRef]) -> tuple[NodeRef, ...]:
        """``refs`` with all others of their kind: the same layer of the other blocks."""
        from studio.peft.target_builder import same_kind

        rows = {layer.path: layer for layer in self._engine.layers}
        kin = [
            NodeRef(k.path, s.part)
            for s in refs
            if s.path in rows
            for k in same_kind(rows[s.path], self._engine.layers)
        ]
        return tuple(dict.fromkeys(kin))

    def retargeted(self, attachment: Attachment) -> Attachment | None:
        """``attachment`` at its method's usual layers of this backbone; None where it has none here."""
        try:
            made = self._build(attachment.method, (NodeRef(),), attachment.config, attachment.slices, ())
        except StudioError:
            return None
        return attachment.model_copy(update={"at": made[0].at, "slices": made[0].slices})

    def unsupported_value_reason(self, attachment: Attachment, field: str, value: Any) -> str:
        """Why ``attachment`` could stay at none of its layers with another value of ``field``; empty where it can."""
        from studio.peft.targets import unsupported_reason

        found = self._engine.match_targets(attachment)
        if found.method is None:
            return ""
        try:
            config = found.method.configure({**attachment.config, field: value})
        except StudioError as error:
            return str(error)
        reasons = [unsupported_reason(found.method, layer, config, attachment.slices) for layer in found.matched]
        return reasons[0] if reasons and all(reasons) else ""

    def label(self, payload: DragPayload) -> str:
        """What to call ``payload`` in a sentence."""
        if isinstance(payload, Preset):
            return tr(payload.label)
        return tr(
            self._engine.method(payload.attachment.method if isinstance(payload, LiftedAttachment) else payload).label
        )

    # doing it

    def attach(self, payload: DragPayload, refs: Sequence[NodeRef]) -> bool:
        """Put ``payload`` down at ``refs`` as one step of the history."""
        return self._run_edit(lambda: self._add(payload, self.proposed_attachments(payload, refs)))

    def attach_as_is(self, attachment: Attachment) -> bool:
        """Add ``attachment`` as it is, as one step of the history."""
        return self._run_edit(lambda: self._add(attachment.method, (attachment,)))

    def _add(self, payload: DragPayload, added: tuple[Attachment, ...]) -> None:
        words = "Copy {what}" if isinstance(payload, LiftedAttachment) else "Attach {what}"
        step = tr(words, what=self.label(payload))
        self._document.edit(step, recipe_edits.with_attachments(self._recipe, added))

    def move(self, lifted: LiftedAttachment, refs: Sequence[NodeRef]) -> bool:
        """Take ``lift`` off where it was taken up, and put it down at ``refs``, as one step of the history."""

        def step() -> None:
            left = self._without(self._recipe, [(lifted.attachment.name, lifted.ref)])
            added = self._copies(lifted, refs, [a.name for a in left.attachments])
            self._document.edit(tr("Move {what}", what=self.label(lifted)), recipe_edits.with_attachments(left, added))

        return self._run_edit(step)

    def detach(self, places: Sequence[tuple[str, NodeRef]]) -> None:
        """Take the attachments called so off at these places, as one step of the history."""
        names = ", ".join(dict.fromkeys(name for name, _ in places))
        self._document.edit(tr("Remove {names}", names=names), self._without(self._recipe, places))

    def attached_within(self, refs: Iterable[NodeRef]) -> tuple[tuple[str, NodeRef], ...]:
        """The attachments at ``refs`` and in them, each with its place."""
        places = set(refs)
        found: list[tuple[str, NodeRef]] = []
        for attachment in self._recipe.attachments:
            for layer in self._engine.match_targets(attachment).matched:
                if any(NodeRef(holder) in places for holder in _self_and_ancestors(layer.path)):
                    found.append((attachment.name, NodeRef(layer.path)))
                else:
                    parts = [NodeRef(layer.path, part) for part in attachment.slices]
                    found += [(attachment.name, part) for part in parts if part in places]
        return tuple(found)

    def layer_count(self, name: str) -> int:
        """At how many layers the attachment called ``name`` attaches."""
        return len(self._engine.match_targets(self._recipe.find_attachment(name)).matched)

    def lift(self, name: str, ref: NodeRef) -> LiftedAttachment | None:
        """The attachment called ``name``, taken up at ``ref``; None where there is none."""
        found = next((a for a in self._recipe.attachments if a.name == name), None)
        return LiftedAttachment(found, ref) if found else None

    def _without(self, recipe: Recipe, places: Sequence[tuple[str, NodeRef]]) -> Recipe:
        off: dict[str, list[NodeRef]] = {}
        for name, spot in places:
            off.setdefault(name, []).append(spot)
        kept: list[Attachment] = []
        for attachment in recipe.attachments:
            spots = off.get(attachment.name)
            kept += [attachment] if spots is None else self._remainder(attachment, spots)
        return recipe.model_copy(update={"attachments": tuple(kept)})

    def _remainder(self, attachment: Attachment, refs: Sequence[NodeRef]) -> list[Attachment]:
        """What is left of ``attachment``: its other layers, and the other slices of a qkv that loses some."""
        from studio.peft.target_builder import exclude_paths
        from studio.peft.targets import minimal_patterns, unique_name

        layers = self._layers()
        matched = self._engine.match_targets(attachment).matched
        left = exclude_paths(attachment, [spot.path for spot in refs], matched, layers)
        rests: dict[tuple[Slice, ...], list[str]] = {}
        for path in {spot.path for spot in refs if spot.part} - {spot.path for spot in refs if not spot.part}:
            gone = {spot.part for spot in refs if spot.path == path}
            if slices := tuple(part for part in attachment.slices if part not in gone):
                rests.setdefault(slices, []).append(path)
        kept = [left] if left else []
        for slices, paths in rests.items():
            name = (
                unique_name(attachment.name, [*self._used_names, *(k.name for k in kept)]) if kept else attachment.name
            )
            update = {"name": name, "slices": slices, "at": minimal_patterns(sorted(paths), layers)}
            kept.append(attachment.model_copy(update=update))
        return kept

    def _layers(self) -> tuple[Layer, ...]:
        if not self._engine.layers:
            raise StudioError("There is no layer tree yet; choose a backbone first.")
        return self._engine.layers


def _self_and_ancestors(path: str) -> Iterator[str]:
    """``path`` and the paths of all that holds it, the backbone last."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
