"""Attaching one thing at several places of the layer tree at once: which attachments that makes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import StudioError
from studio.core.layers import Layer, wildcard_path
from studio.core.recipe import Attachment, Slice
from studio.peft.contract import Method
from studio.peft.targets import (
    default_sites,
    is_within,
    match_layers,
    minimal_patterns,
    unique_name,
    unsupported_reason,
)

LayerSlice = tuple[str, Slice | None]
"""A layer's path, and the slice of its fused qkv where only that is meant."""


@dataclass(slots=True)
class _AcceptedSites:
    """Accepted layers by the slices that are taken of them, and why others were refused."""

    sites: dict[tuple[Slice, ...], list[str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, layer: Layer, slices: tuple[Slice, ...]) -> None:
        paths = self.sites.setdefault(slices, [])
        if (path := layer.path or ".") not in paths:
            paths.append(path)


def build_attachments(
    method: Method[Any],
    layers: Sequence[Layer],
    targets: Sequence[LayerSlice],
    taken_names: Iterable[str] = (),
    config: Mapping[str, Any] | None = None,
    slices: tuple[Slice, ...] = (),
) -> tuple[Attachment, ...]:
    """The attachments that putting ``method`` at ``places`` makes, one for each choice of slices.

    A layer that the method accepts is its own target; anything else stands for the method's default sites inside it.
    ``slices`` are taken instead of the method's own choice where a layer has any. Places that the method refuses are
    left out; StudioError with the reason where none is left.
    """
    values = method.configure(config or {})
    found = _AcceptedSites()
    _add_slices(method, layers, targets, values, found)
    whole = [path for path, part in targets if part is None]
    for row, rows in subtrees(layers, whole):
        chosen = default_sites(method, values, row, rows)
        if chosen is None:
            found.reasons.append(
                unsupported_reason(method, row, values, ())
                or f"{method.label} has nowhere to go in {row.path or 'this backbone'}."
            )
            continue
        for site in chosen[0]:
            found.add(site, (slices or chosen[1]) if site.slices or method.allows_mixed_slices else ())
    if not found.sites:
        raise StudioError(next(iter(found.reasons), "There is no such layer in this backbone."))
    return _make_attachments(method, found, layers, taken_names, values.model_dump())


def _add_slices(
    method: Method[Any], layers: Sequence[Layer], targets: Sequence[LayerSlice], values: Any, accepted: _AcceptedSites
) -> None:
    parts: dict[str, set[Slice]] = {}
    for path, part in targets:
        if part is not None:
            parts.setdefault(path, set()).add(part)
    for layer in layers if parts else ():
        if chosen := parts.get(layer.path):
            ordered = tuple(sorted(chosen, key="qkv".index))
            why = unsupported_reason(method, layer, values, ordered)
            if why:
                accepted.reasons.append(why)
            else:
                accepted.add(layer, ordered)


def subtrees(layers: Sequence[Layer], paths: Sequence[str]) -> list[tuple[Layer, Sequence[Layer]]]:
    """Each of ``paths`` that is a layer, with the layers inside it, itself the first: they follow it in pre-order."""
    wanted = set(paths)
    starts = {layer.path: number for number, layer in enumerate(layers) if layer.path in wanted}
    found: list[tuple[Layer, Sequence[Layer]]] = []
    for start in (starts[path] for path in dict.fromkeys(paths) if path in starts):
        end = start + 1
        while end < len(layers) and is_within(layers[end], layers[start]):
            end += 1
        found.append((layers[start], layers[start:end]))
    return found


def _make_attachments(
    method: Method[Any],
    accepted: _AcceptedSites,
    layers: Sequence[Layer],
    taken_names: Iterable[str],
    config: dict[str, Any],
) -> tuple[Attachment, ...]:
    names, made = set(taken_names), []
    for slices, paths in accepted.sites.items():
        name = unique_name(method.name, names)
        names.add(name)
        made.append(
            Attachment(name=name, method=method.name, at=minimal_patterns(paths, layers), slices=slices, config=config)
        )
    return tuple(made)


def same_kind(layer: Layer, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers of the same kind as ``layer``, itself among them: same type and place, in whichever block."""
    kind = wildcard_path(layer.path)
    return tuple(other for other in layers if other.type == layer.type and wildcard_path(other.path) == kind)


def exclude_paths(
    attachment: Attachment, paths: Iterable[str], matched: Sequence[Layer], layers: Sequence[Layer]
) -> Attachment | None:
    """``attachment``, which matches the layers ``matched``, without those at ``paths``; None where none is left."""
    gone = set(paths)
    left = [layer.path or "." for layer in matched if layer.path not in gone]
    return attachment.model_copy(update={"at": minimal_patterns(left, layers)}) if left else None


def restrict_to_blocks(patterns: Sequence[str], first: int, last: int, layers: Sequence[Layer]) -> tuple[str, ...]:
    """``patterns`` for the layers in the blocks ``first`` to ``last`` alone, counted through the network from 0.

    A pattern that matches no whole path stands for every path that ends in it: ``attn.qkv`` for each block's own. Where
    all blocks are meant the patterns stay as they are, so that they fit a deeper network too.
    """
    full = tuple(p if match_layers([p], layers) else f"**.{p}" for p in patterns)
    blocks = {layer.block for layer in layers if layer.block is not None}
    if not blocks or (first <= min(blocks) and last >= max(blocks)):
        return full
    meant = [
        layer.path for layer in match_layers(full, layers) if layer.block is not None and first <= layer.block <= last
    ]
    return minimal_patterns(meant, layers)
