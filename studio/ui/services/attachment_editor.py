"""Edits of the attachments in the tree: attach, copy, move and remove, and the reasons why one is impossible."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from studio.app.presets import Preset, fit_to_backbone
from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.messages import N_
from studio.core.recipe import Attachment, Recipe, Slice
from studio.ui.services import recipe_edits
from studio.ui.services.document import Document
from studio.ui.services.drag_payload import DragPayload, LiftedAttachment
from studio.ui.services.engine import Engine
from studio.ui.services.tree_data import NodeRef


@dataclass(frozen=True, slots=True)
class RecipeEdit:
    """A changed recipe, and ``text`` to call the step in the history."""

    text: str
    recipe: Recipe


class AttachmentEditor:
    """Works on the document's recipe and the layers that the engine counted last; changes nothing itself."""

    def __init__(self, document: Document, engine: Engine) -> None:
        self._document, self._engine = document, engine

    @property
    def _recipe(self) -> Recipe:
        return self._document.recipe

    @property
    def _used_names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self._recipe.attachments)

    # proposals

    def proposed_attachments(self, payload: DragPayload, refs: Sequence[NodeRef]) -> tuple[Attachment, ...]:
        """Return what attaching ``payload`` at ``refs`` would add; raise StudioError with the reason if impossible."""
        layers = self._layers()
        if isinstance(payload, Preset):
            return fit_to_backbone(payload, layers, [ref.path for ref in refs], self._used_names)
        if isinstance(payload, LiftedAttachment):
            return self._copies(payload, refs, self._used_names)
        return self._build(payload, refs, {}, (), self._used_names)

    def _copies(
        self, lifted: LiftedAttachment, refs: Sequence[NodeRef], used_names: Sequence[str]
    ) -> tuple[Attachment, ...]:
        elsewhere = [ref for ref in refs if ref != lifted.ref]
        if not elsewhere:
            raise StudioError("already-attached", "Already attached here. Choose another layer.")
        one_slice = bool(lifted.ref.part)
        slices = cast(tuple[Slice, ...], (lifted.ref.part,)) if one_slice else lifted.attachment.slices
        return self._build(lifted.attachment.method, elsewhere, lifted.attachment.config, slices, used_names)

    def _build(
        self, method: str, refs: Sequence[NodeRef], config: Any, slices: tuple[Slice, ...], used_names: Sequence[str]
    ) -> tuple[Attachment, ...]:
        from studio.peft.target_builder import build_attachments

        places = [(ref.path, cast(Slice, ref.part) if ref.part else None) for ref in refs]
        return build_attachments(self._engine.method(method), self._layers(), places, used_names, config, slices)

    def attach_error(self, payload: DragPayload, refs: Sequence[NodeRef]) -> str:
        """Return why ``payload`` cannot be attached at ``refs``; empty if it can."""
        try:
            self.proposed_attachments(payload, refs)
        except StudioError as error:
            return error.message
        return ""

    def target_paths(self, attachments: Iterable[Attachment]) -> frozenset[str]:
        """Return the paths of the layers that ``attachments`` attach to."""
        return frozenset(layer.path for a in attachments for layer in self._engine.match_targets(a).matched)

    def same_kind(self, refs: Iterable[NodeRef]) -> tuple[NodeRef, ...]:
        """Return ``refs`` with all others of their kind: the same layer in the other blocks."""
        from studio.peft.target_builder import same_kind

        rows = {layer.path: layer for layer in self._engine.layers}
        found = [
            NodeRef(layer.path, ref.part)
            for ref in refs
            if ref.path in rows
            for layer in same_kind(rows[ref.path], self._engine.layers)
        ]
        return tuple(dict.fromkeys(found))

    def retargeted(self, attachment: Attachment) -> Attachment | None:
        """Return ``attachment`` at its method's default layers of this backbone; None if it has none here."""
        try:
            made = self._build(attachment.method, (NodeRef(),), attachment.config, attachment.slices, ())
        except StudioError:
            return None
        return attachment.model_copy(update={"at": made[0].at, "slices": made[0].slices})

    def unsupported_value_reason(self, attachment: Attachment, field: str, value: Any) -> str:
        """Return why no layer of ``attachment`` supports another ``value`` of ``field``; empty if one does."""
        from studio.peft.targets import unsupported_reason

        found = self._engine.match_targets(attachment)
        if found.method is None:
            return ""
        try:
            config = found.method.configure({**attachment.config, field: value})
        except StudioError as error:
            return error.message
        reasons = [unsupported_reason(found.method, layer, config, attachment.slices) for layer in found.matched]
        return reasons[0] if reasons and all(reasons) else ""

    def label(self, payload: DragPayload) -> str:
        """Return the name of ``payload`` for a sentence."""
        if isinstance(payload, Preset):
            return payload.label
        method = payload.attachment.method if isinstance(payload, LiftedAttachment) else payload
        return self._engine.method(method).label

    # edits

    def attach(self, payload: DragPayload, refs: Sequence[NodeRef]) -> RecipeEdit:
        """Return the recipe with ``payload`` attached at ``refs``; raise StudioError if impossible."""
        return self._added(payload, self.proposed_attachments(payload, refs))

    def attach_as_is(self, attachment: Attachment) -> RecipeEdit:
        """Return the recipe with ``attachment`` as it is."""
        return self._added(attachment.method, (attachment,))

    def _added(self, payload: DragPayload, added: tuple[Attachment, ...]) -> RecipeEdit:
        label = self.label(payload)
        copied = isinstance(payload, LiftedAttachment)
        text = N_("Copy {what}", what=label) if copied else N_("Attach {what}", what=label)
        return RecipeEdit(text, recipe_edits.with_attachments(self._recipe, added))

    def move(self, lifted: LiftedAttachment, refs: Sequence[NodeRef]) -> RecipeEdit:
        """Return the recipe with ``lifted`` at ``refs`` instead of where it was; raise StudioError if impossible."""
        remaining = self._without(self._recipe, [(lifted.attachment.name, lifted.ref)])
        added = self._copies(lifted, refs, [a.name for a in remaining.attachments])
        return RecipeEdit(N_("Move {what}", what=self.label(lifted)), recipe_edits.with_attachments(remaining, added))

    def detach(self, places: Sequence[tuple[str, NodeRef]]) -> RecipeEdit:
        """Return the recipe without the attachments of these names at these places."""
        names = ", ".join(dict.fromkeys(name for name, _ in places))
        return RecipeEdit(N_("Remove {names}", names=names), self._without(self._recipe, places))

    def attached_within(self, refs: Iterable[NodeRef]) -> tuple[tuple[str, NodeRef], ...]:
        """Return the attachments at ``refs`` and inside them, each as name and place."""
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
        """Return the number of layers that the attachment ``name`` attaches to."""
        return len(self._engine.match_targets(self._recipe.find_attachment(name)).matched)

    def lift(self, name: str, ref: NodeRef) -> LiftedAttachment | None:
        """Return the attachment ``name`` as lifted at ``ref``; None if there is none."""
        found = next((a for a in self._recipe.attachments if a.name == name), None)
        return LiftedAttachment(found, ref) if found else None

    def _without(self, recipe: Recipe, places: Sequence[tuple[str, NodeRef]]) -> Recipe:
        removed: dict[str, list[NodeRef]] = {}
        for name, ref in places:
            removed.setdefault(name, []).append(ref)
        remaining: list[Attachment] = []
        for attachment in recipe.attachments:
            refs = removed.get(attachment.name)
            remaining += [attachment] if refs is None else self._remainder(attachment, refs)
        return recipe.model_copy(update={"attachments": tuple(remaining)})

    def _remainder(self, attachment: Attachment, refs: Sequence[NodeRef]) -> list[Attachment]:
        """Return ``attachment`` at its other layers, and at the other slices of a qkv that loses some."""
        from studio.peft.target_builder import exclude_paths
        from studio.peft.targets import minimal_patterns, unique_name

        layers = self._layers()
        matched = self._engine.match_targets(attachment).matched
        rest = exclude_paths(attachment, [ref.path for ref in refs], matched, layers)
        paths_by_slices: dict[tuple[Slice, ...], list[str]] = {}
        for path in {ref.path for ref in refs if ref.part} - {ref.path for ref in refs if not ref.part}:
            removed = {ref.part for ref in refs if ref.path == path}
            if slices := tuple(part for part in attachment.slices if part not in removed):
                paths_by_slices.setdefault(slices, []).append(path)
        made = [rest] if rest else []
        for slices, paths in paths_by_slices.items():
            used = [*self._used_names, *(a.name for a in made)]
            name = unique_name(attachment.name, used) if made else attachment.name
            update = {"name": name, "slices": slices, "at": minimal_patterns(sorted(paths), layers)}
            made.append(attachment.model_copy(update=update))
        return made

    def _layers(self) -> tuple[Layer, ...]:
        if not self._engine.layers:
            raise StudioError("no-layers", "There is no layer tree yet. Choose a backbone first.")
        return self._engine.layers


def _self_and_ancestors(path: str) -> Iterator[str]:
    """Yield ``path`` and the paths of all modules around it, the backbone last."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
