"""The recipe: the one document from which everything else is derived.

A recipe is pure data: it names methods and backbones, never an import path, so opening a stranger's recipe runs
nothing. A method's own fields and its patterns are checked by :func:`studio.peft.check.check_recipe`, so that a recipe
whose method is not installed still opens and is saved unchanged.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, ValidationError, field_serializer, model_validator

from studio.core.errors import StudioError
from studio.core.files import write_text
from studio.core.messages import N_
from studio.core.paths import BUNDLED_PREFIX, resolve_path
from studio.core.recipe_base import AttachmentName, ConfigValue, RecipeModel, StrictBool
from studio.core.recipe_base import Slice as Slice
from studio.core.recipe_base import SplitName as SplitName
from studio.core.recipe_data import Data as Data
from studio.core.recipe_data import Split as Split
from studio.core.recipe_data import Transforms as Transforms
from studio.core.recipe_training import Training as Training
from studio.core.validation import bad_value

ADAPTER_FOLDERS_FIELD = "adapters"
"""Name of the method field that holds folders; the core does not know the methods."""


class Backbone(RecipeModel):
    """The pretrained network."""

    name: str = Field(
        "starter",
        min_length=1,
        title=N_("Name"),
        description=N_("name of a timm architecture or of a bundled backbone"),
    )
    source: Literal["bundled", "timm", "local"] = Field(
        "bundled", title=N_("Source"), description=N_("origin of the weights")
    )
    weights: str = Field(
        "",
        title=N_("Weights"),
        description=N_("local weights: a .safetensors file or a timm model folder"),
    )
    pretrained: StrictBool = Field(True, title=N_("Pretrained"), description=N_("start from pretrained weights"))


class Attachment(RecipeModel):
    """A PEFT method attached to the layers that ``at`` matches.

    The method's own fields are in ``config``.
    """

    name: AttachmentName = Field(title=N_("Name"), description=N_("name of the attachment, unique in the recipe"))
    method: str = Field(min_length=1, title=N_("Method"), description=N_("name of the PEFT method"))
    at: tuple[str, ...] = Field(
        min_length=1,
        title=N_("Targets"),
        description=N_("layer paths or patterns, such as blocks.*.attn.qkv"),
    )
    slices: tuple[Slice, ...] = Field(
        (),
        title=N_("Slices"),
        description=N_("parts of a fused qkv layer; empty for the whole layer"),
    )
    enabled: StrictBool = Field(True, title=N_("Enabled"), description=N_("use the attachment"))
    config: Mapping[str, ConfigValue] = Field(
        default_factory=dict, title=N_("Configuration"), description=N_("the method's own fields")
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_config(cls, value: Any) -> Any:
        """Gather the method's fields, which stand beside ours in a file."""
        if not isinstance(value, Mapping):
            return value
        own = {key: item for key, item in value.items() if key in cls.model_fields}
        config = own.pop("config", {})
        return own | {"config": {**config, **{k: v for k, v in value.items() if k not in cls.model_fields}}}

    def with_absolute_paths(self, folder: Path) -> Self:
        """Return a copy with its adapter folders absolute, relative to ``folder``."""
        folders = self.config.get(ADAPTER_FOLDERS_FIELD)
        if not isinstance(folders, list | tuple):
            return self
        absolute = [_absolute(path, folder) if isinstance(path, str) else path for path in folders]
        return self.model_copy(update={"config": {**self.config, ADAPTER_FOLDERS_FIELD: absolute}})

    @field_serializer("config")
    def _config_as_dict(self, config: Mapping[str, ConfigValue]) -> dict[str, ConfigValue]:
        return dict(config)


class Head(RecipeModel):
    """The classifier on top of the backbone."""

    trainable: StrictBool = Field(
        True,
        title=N_("Trainable"),
        description=N_("train the classifier together with the attachments"),
    )


class Recipe(RecipeModel):
    """The complete description of one fine-tuning."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    backbone: Backbone = Backbone()
    attachments: tuple[Attachment, ...] = ()
    head: Head = Head()
    data: Data = Data()
    training: Training = Training()

    @model_validator(mode="after")
    def _check_unique_names(self) -> Self:
        names = [attachment.name for attachment in self.attachments]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(N_("two attachments are called '{name}'", name=twice))
        return self

    @classmethod
    def loads(cls, text: str, origin: str = "recipe") -> Self:
        """Parse TOML; raise StudioError that names ``origin`` and the first wrong key."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudioError(
                "bad-toml", "{origin} is not valid TOML: {reason}.", origin=origin, reason=error
            ) from error
        return cls.from_mapping(raw, origin)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], origin: str = "recipe") -> Self:
        """Validate data; raise StudioError that names ``origin`` and the first wrong key."""
        schema = raw.get("schema")
        if isinstance(schema, int) and schema > 1:
            raise StudioError(
                "newer-version",
                "{origin} was written by a newer version of PEFT Studio (schema {schema}). Update to open it.",
                origin=origin,
                schema=schema,
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise bad_value(error, origin) from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a recipe file; raise StudioError if it is missing or wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise StudioError("not-a-recipe", "{path} is not a recipe: it is not a text file.", path=path) from error
        except FileNotFoundError as error:
            raise StudioError(
                "no-recipe", "There is no recipe {path}. It may have been moved, renamed or deleted.", path=path
            ) from error
        except OSError as error:
            raise StudioError(
                "unreadable-file", "Cannot read the recipe {path}: {reason}.", path=path, reason=error.strerror
            ) from error
        return cls.loads(text, str(path))

    def dumps(self) -> str:
        """Return TOML in a fixed order with every value, defaults included."""
        raw = self.model_dump(by_alias=True)
        raw["attachments"] = [_flatten_config(a) for a in raw["attachments"]]
        return tomli_w.dumps(raw)

    def save(self, path: Path) -> None:
        """Write the recipe atomically."""
        write_text(path, self.dumps())

    def with_absolute_paths(self, folder: Path) -> Self:
        """Return a copy with its paths absolute, relative to ``folder``."""
        data = self.data.model_copy(update={"path": _absolute(self.data.path, folder)})
        backbone = self.backbone.model_copy(update={"weights": _absolute(self.backbone.weights, folder)})
        attachments = tuple(attachment.with_absolute_paths(folder) for attachment in self.attachments)
        return self.model_copy(update={"data": data, "backbone": backbone, "attachments": attachments})

    def find_attachment(self, name: str) -> Attachment:
        """Return the attachment called ``name``; KeyError if there is none."""
        for attachment in self.attachments:
            if attachment.name == name:
                return attachment
        raise KeyError(name)


def _flatten_config(attachment: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = attachment.pop("config")
    return attachment | config


def _absolute(path: str, folder: Path) -> str:
    if not path or path.startswith(BUNDLED_PREFIX):
        return path
    return str(resolve_path(path, folder))
