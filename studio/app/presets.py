"""Presets: attachments that are usual together, kept as recipes and fitted to the backbone at hand.

A file of ``resources/presets`` is a recipe for a vision transformer under ``[recipe]``, with what to call it, and under
``[roles]`` what each attachment is meant for, so that it can be fitted to a network whose layers have other names.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.paths import resource
from studio.core.recipe import Attachment, Recipe

NonEmptyStr = Annotated[str, StringConstraints(min_length=1)]


class Preset(BaseModel):
    """One preset. ``last_blocks`` counts from the end of the network; 0 means all blocks and what is outside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NonEmptyStr
    label: NonEmptyStr
    summary: NonEmptyStr
    last_blocks: int = Field(0, ge=0)
    roles: Mapping[str, tuple[Role, ...]] = Field(default_factory=dict)
    recipe: Recipe

    def __hash__(self) -> int:
        """By name: there is one of each."""
        return hash(self.name)


@cache
def presets() -> tuple[Preset, ...]:
    """All presets, in the order of their files."""
    files = sorted(resource("presets").glob("*.toml"), key=lambda file: file.name)
    return tuple(_read(file.stem.partition("-")[2], file.read_text(encoding="utf-8")) for file in files)


def _read(name: str, text: str) -> Preset:
    raw = tomllib.loads(text)
    return Preset(name=name, recipe=Recipe.from_mapping(raw.pop("recipe"), name), **raw)


def get_preset(name: str) -> Preset:
    """The preset called ``name``; StudioError where there is none."""
    found = next((one for one in presets() if one.name == name), None)
    if found is None:
        raise StudioError(f"There is no preset called {name!r}.")
    return found


def fit_to_backbone(
    preset: Preset, layers: Sequence[Layer], under: Sequence[str] = ("",), taken_names: Iterable[str] = ()
) -> tuple[Attachment, ...]:
    """The attachments of ``preset`` for a backbone of these ``layers``, inside the layers called ``under``.

    Patterns that fit stay as they are; others give way to the layers of the roles that the preset names. StudioError
    with the reason where there is no place for one of them.
    """
    from studio.peft.targets import unique_name

    room, names, made = _allowed_layers(preset, layers, under), set(taken_names), []
    for attachment in preset.recipe.attachments:
        name = unique_name(attachment.name, names)
        names.add(name)
        made.append(_fit_attachment(attachment, preset, layers, room).model_copy(update={"name": name}))
    return tuple(made)


def _allowed_layers(preset: Preset, layers: Sequence[Layer], under: Sequence[str]) -> list[Layer]:
    """The layers that the preset may use."""
    from studio.peft.target_builder import subtrees

    room = list({layer.path: layer for _, rows in subtrees(layers, under) for layer in rows}.values())
    if not preset.last_blocks:
        return room
    blocks = sorted({layer.block for layer in layers if layer.block is not None})
    if len(blocks) < preset.last_blocks:
        raise StudioError(f"{preset.label}: this backbone has {len(blocks) or 'no'} blocks.")
    last = set(blocks[-preset.last_blocks :])
    return [layer for layer in room if layer.block in last]


def _fit_attachment(
    attachment: Attachment, preset: Preset, layers: Sequence[Layer], allowed: Sequence[Layer]
) -> Attachment:
    from studio.peft.contract import METHODS
    from studio.peft.targets import match_layers, minimal_patterns, unsupported_reason

    method = METHODS.get(attachment.method)
    config = method.configure(attachment.config)
    roles = preset.roles.get(attachment.name) or tuple(r for d in method.default_sites for r in d.roles)
    meant = [layer for layer in allowed if layer.role in roles]
    slices = attachment.slices if any(layer.slices for layer in meant) else ()
    accepted = [layer for layer in meant if not unsupported_reason(method, layer, config, slices)]
    if not accepted:
        why = unsupported_reason(method, meant[0], config, slices) if meant else ""
        kinds = ", ".join(dict.fromkeys(map(str, roles)))
        raise StudioError(why or f"{preset.label}: there is no layer of this kind here ({kinds}).")
    fits = len(allowed) == len(layers) and match_layers(attachment.at, layers) == accepted
    at = (
        _matching_patterns(attachment.at, layers)
        if fits
        else minimal_patterns([a.path or "." for a in accepted], layers)
    )
    return attachment.model_copy(update={"at": at, "slices": slices, "config": config.model_dump()})


def _matching_patterns(patterns: Iterable[str], layers: Sequence[Layer]) -> tuple[str, ...]:
    from studio.peft.targets import match_layers

    return tuple(pattern for pattern in patterns if match_layers([pattern], layers))
