"""Presets: common combinations of attachments, fitted to a backbone.

A file of ``resources/presets`` has a label and a summary, a recipe for a vision transformer under ``[recipe]``, and
under ``[roles]`` the layer roles of each attachment, so that it can be fitted to a network with other layer names.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.messages import Message, N_n
from studio.core.paths import resource
from studio.core.recipe import Attachment, Recipe

NonEmptyStr = Annotated[str, StringConstraints(min_length=1)]


class Preset(BaseModel):
    """One preset; ``last_blocks`` restricts it to the last blocks, 0 to no blocks.

    ``label`` and ``summary`` are messages, whose translations are in the catalog.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NonEmptyStr
    label: NonEmptyStr
    summary: NonEmptyStr
    last_blocks: int = Field(0, ge=0)
    roles: Mapping[str, tuple[Role, ...]] = Field(default_factory=dict)
    recipe: Recipe

    def __hash__(self) -> int:
        """Return the hash of the unique name."""
        return hash(self.name)


@cache
def presets() -> tuple[Preset, ...]:
    """Return all presets, in the order of their files."""
    files = sorted(resource("presets").glob("*.toml"), key=lambda file: file.name)
    return tuple(_read(file.stem.partition("-")[2], file.read_text(encoding="utf-8")) for file in files)


def _read(name: str, text: str) -> Preset:
    raw = tomllib.loads(text)
    preset = Preset(name=name, recipe=Recipe.from_mapping(raw.pop("recipe"), name), **raw)
    label, summary = (Message.of(text, "", {}) for text in (preset.label, preset.summary))
    return preset.model_copy(update={"label": label, "summary": summary})


def get_preset(name: str) -> Preset:
    """Return the preset called ``name``; StudioError if there is none."""
    for preset in presets():
        if preset.name == name:
            return preset
    raise StudioError("unknown-name", "There is no preset called '{name}'.", name=name)


def fit_to_backbone(
    preset: Preset, layers: Sequence[Layer], under: Sequence[str] = ("",), taken_names: Iterable[str] = ()
) -> tuple[Attachment, ...]:
    """Return the attachments of ``preset`` for ``layers``, inside the paths ``under``.

    Patterns that fit stay as they are; others are replaced by the layers of the preset's roles. Raises StudioError with
    the reason if an attachment fits no layer.
    """
    from studio.peft.targets import unique_name

    allowed, names, made = _allowed_layers(preset, layers, under), set(taken_names), []
    for attachment in preset.recipe.attachments:
        name = unique_name(attachment.name, names)
        names.add(name)
        made.append(_fit_attachment(attachment, preset, layers, allowed).model_copy(update={"name": name}))
    return tuple(made)


def _allowed_layers(preset: Preset, layers: Sequence[Layer], under: Sequence[str]) -> list[Layer]:
    """Return the layers that the preset may use."""
    from studio.peft.target_builder import subtrees

    allowed = list({layer.path: layer for _, rows in subtrees(layers, under) for layer in rows}.values())
    if not preset.last_blocks:
        return allowed
    blocks = sorted({layer.block for layer in layers if layer.block is not None})
    if len(blocks) < preset.last_blocks:
        raise StudioError(
            "unsupported-layer",
            N_n(
                "{preset}: the backbone has only {n} block.",
                "{preset}: the backbone has only {n} blocks.",
                len(blocks),
                preset=preset.label,
            ),
        )
    last = set(blocks[-preset.last_blocks :])
    return [layer for layer in allowed if layer.block in last]


def _fit_attachment(
    attachment: Attachment, preset: Preset, layers: Sequence[Layer], allowed: Sequence[Layer]
) -> Attachment:
    from studio.peft.contract import METHODS
    from studio.peft.targets import match_layers, minimal_patterns, unsupported_reason

    method = METHODS.get(attachment.method)
    config = method.configure(attachment.config)
    roles = preset.roles.get(attachment.name) or tuple(r for d in method.default_sites for r in d.roles)
    candidates = [layer for layer in allowed if layer.role in roles]
    slices = attachment.slices if any(layer.slices for layer in candidates) else ()
    accepted = [layer for layer in candidates if not unsupported_reason(method, layer, config, slices)]
    if not accepted:
        if candidates:
            raise StudioError("unsupported-layer", unsupported_reason(method, candidates[0], config, slices))
        raise StudioError(
            "unsupported-layer",
            "{preset}: there is no layer with this role here ({roles}).",
            preset=preset.label,
            roles=", ".join(dict.fromkeys(map(str, roles))),
        )
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
