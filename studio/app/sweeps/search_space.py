"""The search space: the values of each key, and the recipe of a choice."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.app.overrides import apply_values
from studio.app.sweeps.grid import parse_axis
from studio.core.errors import StudioError
from studio.core.recipe import Attachment, Recipe

if TYPE_CHECKING:
    from studio.app.inspection import Inspector
    from studio.core.layers import Layer

METHOD, SIZE, PLACEMENT, LEARNING_RATE = "method", "size", "placement", "training.learning_rate"
DEFAULT_AXES = (
    "method=lora,dora,adaptformer,vpt_deep,ssf,bitfit",
    "size=2,4,8,16,32",
    "placement=all,last-half,last-quarter",
    f"{LEARNING_RATE}=0.0003..0.03",
)
"""The default search space."""
PLACEMENTS = {"all": 1.0, "last-half": 0.5, "last-quarter": 0.25}
_RANGE = re.compile(r"([-+\d.eE]+)\.\.([-+\d.eE]+)")
_LOG_RATIO = 10


@dataclass(frozen=True, slots=True)
class SearchDimension:
    """A key and its values: ``choices``, or the range from ``low`` to ``high``."""

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    integer: bool = False

    @property
    def logarithmic(self) -> bool:
        """Whether the range is searched on a logarithmic scale."""
        return self.low > 0 and self.high / self.low >= _LOG_RATIO


def parse_dimensions(axes: Sequence[str]) -> list[SearchDimension]:
    """Parse ``key=value,value`` and ``key=low..high``; StudioError if one is neither."""
    dimensions = [_parse_dimension(text) for text in axes or DEFAULT_AXES]
    for dimension in dimensions:
        _check_placement(dimension)
    return dimensions


def _parse_dimension(text: str) -> SearchDimension:
    key, _, written = text.partition("=")
    bounds = _RANGE.fullmatch(written.strip())
    if not bounds:
        name, values = parse_axis(text)
        return SearchDimension(name, tuple(values))
    try:
        low, high = (float(bound) for bound in bounds.groups())
    except ValueError as error:
        raise StudioError("bad-assignment", "'{text}' is not of the form key=low..high.", text=text) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise StudioError("bad-assignment", "'{text}': the first number must be the smaller one.", text=text)
    integer = not any(sign in written.replace("..", " ") for sign in ".eE")
    return SearchDimension(key.strip(), (), low, high, integer)


def _check_placement(dimension: SearchDimension) -> None:
    known = list(PLACEMENTS) if dimension.key == PLACEMENT else None
    wrong = next((choice for choice in dimension.choices if known and choice not in known), None)
    if wrong is not None or (known and not dimension.choices):
        raise StudioError("bad-value", "placement must be one of {choices}.", choices=", ".join(PLACEMENTS))


def recipe_for(recipe: Recipe, inspector: "Inspector", values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with ``values``; StudioError if they do not fit."""
    attachments = recipe.attachments
    if METHOD in values:
        attachments = (_default_attachment(str(values[METHOD]), inspector),)
    if SIZE in values:
        attachments = tuple(_with_size(a, values[SIZE]) for a in attachments)
    if PLACEMENT in values:
        attachments = tuple(_with_placement(a, PLACEMENTS[values[PLACEMENT]], inspector.layers) for a in attachments)
    rest = {key: value for key, value in values.items() if key not in (METHOD, SIZE, PLACEMENT)}
    return apply_values(recipe.model_copy(update={"attachments": attachments}), rest)


def _default_attachment(method: str, inspector: "Inspector") -> Attachment:
    from studio.peft.contract import METHODS
    from studio.peft.targets import default_attachment

    return default_attachment(METHODS.get(method), inspector.layers)


def _with_size(attachment: Attachment, size: int) -> Attachment:
    """Return the attachment with its size field, if it has one, set to ``size``."""
    from studio.peft.contract import METHODS

    name = METHODS.get(attachment.method).info.size_field
    return attachment.model_copy(update={"config": {**attachment.config, name: size}}) if name else attachment


def _with_placement(attachment: Attachment, share: float, layers: "Sequence[Layer]") -> Attachment:
    """Return the attachment with its layers in the last ``share`` of the blocks.

    It is unchanged if it has none there.
    """
    from studio.peft.target_matching import match_targets
    from studio.peft.targets import minimal_patterns

    blocks = sorted({layer.block for layer in layers if layer.block is not None})
    last = set(blocks[len(blocks) - max(1, round(share * len(blocks))) :])
    kept = [layer.path for layer in match_targets(attachment, layers).matched if layer.block in last]
    return attachment.model_copy(update={"at": minimal_patterns(kept, layers)}) if kept else attachment
