"""Attaching, copying, moving and taking off in the tree: what it would come to, and doing it as one step."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from studio.app.presets import Preset, fitted
from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment, Recipe, Slice
from studio.ui.i18n.language import tr
from studio.ui.services import recipe_edits
from studio.ui.services.document import Document
from studio.ui.services.drag_payload import Carried, Lifted
from studio.ui.services.engine import Engine
from studio.ui.services.tree_data import Spot


class Attaching:
    """Works on the document's recipe and the layers that the engine has counted last."""

    def __init__(self, document: Document, engine: Engine, attempt: Callable[[Callable[[], Any]], bool]) -> None:
        self._document, self._engine, self._attempt = document, engine, attempt

    @property
    def _recipe(self) -> Recipe:
        return self._document.recipe

    @property
    def _taken(self) -> tuple[str, ...]:
        return tuple(a.name for a in self._recipe.attachments)

    # what it would come to

    def proposals(self, carried: Carried, spots: Sequence[Spot]) -> tuple[Attachment, ...]:
        """What putting ``carried`` down at ``spots`` would add; StudioError with the reason where it cannot."""
        layers = self._layers()
        if isinstance(carried, Preset):
            return fitted(carried, layers, [spot.path for spot in spots], self._taken)
        if isinstance(carried, Lifted):
            return self._copies(carried, spots, self._taken)
        return self._placed(carried, spots, {}, (), self._taken)

    def _copies(self, lifted: Lifted, spots: Sequence[Spot], taken: Sequence[str]) -> tuple[Attachment, ...]:
        elsewhere = [spot for spot in spots if spot != lifted.spot]
        if not elsewhere:
            raise StudioError("It is attached here already; put it down on another layer.")
        whole = bool(lifted.spot.part)
        slices = cast(tuple[Slice, ...], (lifted.spot.part,)) if whole else lifted.attachment.slices
        return self._placed(lifted.attachment.method, elsewhere, lifted.attachment.config, slices, taken)

    def _placed(
        self, method: str, spots: Sequence[Spot], config: Any, slices: tuple[Slice, ...], taken: Sequence[str]
    ) -> tuple[Attachment, ...]:
        from studio.peft.target_builder import place

        places = [(spot.path, cast(Slice, spot.part) if spot.part else None) for spot in spots]
        return place(self._engine.method(method), self._layers(), places, taken, config, slices)

    def refusal(self, carried: Carried, spots: Sequence[Spot]) -> str:
        """Why ``carried`` cannot be put down at ``spots``; empty where it can."""
        try:
            self.proposals(carried, spots)
        except StudioError as error:
            return str(error)
        return ""

    def targets(self, attachments: Iterable[Attachment]) -> frozenset[str]:
        """The paths of the layers that ``attachments`` attach to."""
        return frozenset(layer.path for a in attachments for layer in self._engine.resolve(a).matched)

    def alike(self, spots: Iterable[Spot]) -> tuple[Spot, ...]:
        """``spots`` with all others of their kind: the same layer of the other blocks."""
        from studio.peft.target_builder import alike

        rows = {layer.path: layer for layer in self._engine.layers}
        kin = [Spot(k.path, s.part) for s in spots if s.path in rows for k in alike(rows[s.path], self._engine.layers)]
        return tuple(dict.fromkeys(kin))

    def usual(self, attachment: Attachment) -> Attachment | None:
        """``attachment`` at its method's usual layers of this backbone; None where it has none here."""
        try:
            made = self._placed(attachment.method, (Spot(),), attachment.config, attachment.slices, ())
        except StudioError:
            return None
        return attachment.model_copy(update={"at": made[0].at, "slices": made[0].slices})

    def lost(self, attachment: Attachment, field: str, value: Any) -> str:
        """Why ``attachment`` could stay at none of its layers with another value of ``field``; empty where it can."""
        from studio.peft.targets import refusal

        found = self._engine.resolve(attachment)
        if found.method is None:
            return ""
        try:
            config = found.method.configure({**attachment.config, field: value})
        except StudioError as error:
            return str(error)
        reasons = [refusal(found.method, layer, config, attachment.slices) for layer in found.matched]
        return reasons[0] if reasons and all(reasons) else ""

    def label(self, carried: Carried) -> str:
        """What to call ``carried`` in a sentence."""
        if isinstance(carried, Preset):
            return tr(carried.label)
        return tr(self._engine.method(carried.attachment.method if isinstance(carried, Lifted) else carried).label)

    # doing it

    def attach(self, carried: Carried, spots: Sequence[Spot]) -> bool:
        """Put ``carried`` down at ``spots`` as one step of the history."""
        return self._attempt(lambda: self._add(carried, self.proposals(carried, spots)))

    def attach_rule(self, attachment: Attachment) -> bool:
        """Add ``attachment`` as it is, as one step of the history."""
        return self._attempt(lambda: self._add(attachment.method, (attachment,)))

    def _add(self, carried: Carried, added: tuple[Attachment, ...]) -> None:
        words = "Copy {what}" if isinstance(carried, Lifted) else "Attach {what}"
        step = tr(words, what=self.label(carried))
        self._document.edit(step, recipe_edits.with_attachments(self._recipe, added))

    def move(self, lifted: Lifted, spots: Sequence[Spot]) -> bool:
        """Take ``lifted`` off where it was taken up, and put it down at ``spots``, as one step of the history."""

        def step() -> None:
            left = self._without(self._recipe, [(lifted.attachment.name, lifted.spot)])
            added = self._copies(lifted, spots, [a.name for a in left.attachments])
            self._document.edit(tr("Move {what}", what=self.label(lifted)), recipe_edits.with_attachments(left, added))

        return self._attempt(step)

    def take_off(self, places: Sequence[tuple[str, Spot]]) -> None:
        """Take the attachments called so off at these places, as one step of the history."""
        names = ", ".join(dict.fromkeys(name for name, _ in places))
        self._document.edit(tr("Remove {names}", names=names), self._without(self._recipe, places))

    def attached_in(self, spots: Iterable[Spot]) -> tuple[tuple[str, Spot], ...]:
        """The attachments at ``spots`` and in them, each with its place."""
        places = set(spots)
        found: list[tuple[str, Spot]] = []
        for attachment in self._recipe.attachments:
            for layer in self._engine.resolve(attachment).matched:
                if any(Spot(holder) in places for holder in _ancestry(layer.path)):
                    found.append((attachment.name, Spot(layer.path)))
                else:
                    parts = [Spot(layer.path, part) for part in attachment.slices]
                    found += [(attachment.name, part) for part in parts if part in places]
        return tuple(found)

    def sites(self, name: str) -> int:
        """At how many layers the attachment called ``name`` attaches."""
        return len(self._engine.resolve(self._recipe.find_attachment(name)).matched)

    def lifted(self, name: str, spot: Spot) -> Lifted | None:
        """The attachment called ``name``, taken up at ``spot``; None where there is none."""
        found = next((a for a in self._recipe.attachments if a.name == name), None)
        return Lifted(found, spot) if found else None

    def _without(self, recipe: Recipe, places: Sequence[tuple[str, Spot]]) -> Recipe:
        off: dict[str, list[Spot]] = {}
        for name, spot in places:
            off.setdefault(name, []).append(spot)
        kept: list[Attachment] = []
        for attachment in recipe.attachments:
            spots = off.get(attachment.name)
            kept += [attachment] if spots is None else self._rest(attachment, spots)
        return recipe.model_copy(update={"attachments": tuple(kept)})

    def _rest(self, attachment: Attachment, spots: Sequence[Spot]) -> list[Attachment]:
        """What is left of ``attachment``: its other layers, and the other slices of a qkv that loses some."""
        from studio.peft.target_builder import without
        from studio.peft.targets import shorten, unused_name

        layers = self._layers()
        matched = self._engine.resolve(attachment).matched
        left = without(attachment, [spot.path for spot in spots], matched, layers)
        rests: dict[tuple[Slice, ...], list[str]] = {}
        for path in {spot.path for spot in spots if spot.part} - {spot.path for spot in spots if not spot.part}:
            gone = {spot.part for spot in spots if spot.path == path}
            if slices := tuple(part for part in attachment.slices if part not in gone):
                rests.setdefault(slices, []).append(path)
        kept = [left] if left else []
        for slices, paths in rests.items():
            name = unused_name(attachment.name, [*self._taken, *(k.name for k in kept)]) if kept else attachment.name
            update = {"name": name, "slices": slices, "at": shorten(sorted(paths), layers)}
            kept.append(attachment.model_copy(update=update))
        return kept

    def _layers(self) -> tuple[Layer, ...]:
        if not self._engine.layers:
            raise StudioError("There is no layer tree yet; choose a backbone first.")
        return self._engine.layers


def _ancestry(path: str) -> Iterator[str]:
    """``path`` and the paths of all that holds it, the backbone last."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
