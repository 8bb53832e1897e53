"""The recipe: the one document from which everything else is derived.

A recipe is pure data: it names methods and backbones, never an import path, so opening a stranger's recipe runs
nothing. What only the engine can judge (a method's own fields, whether a pattern matches) is judged by
:func:`studio.peft.check.check_recipe`, so that a recipe whose method is not installed still opens and is saved back as
it was.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    field_serializer,
    model_validator,
)

from studio.core.errors import StudioError
from studio.core.files import write_text
from studio.core.paths import BUNDLED_PREFIX, resolve_path

Slice = Literal["q", "k", "v"]
SplitName = Literal["train", "validation", "test"]
Scalar = bool | int | float | str
ConfigValue = Scalar | list[Scalar] | dict[str, Scalar]
StrictInt = Annotated[int, Strict()]
StrictFloat = Annotated[float, Strict()]
StrictBool = Annotated[bool, Strict()]
AttachmentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]


ADAPTER_FOLDERS_FIELD = "adapters"
"""The field of a method that holds folders, known by its name: the core does not know the methods."""


class RecipeModel(BaseModel):
    """An immutable piece of a recipe; an unknown key or a wrong type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Backbone(RecipeModel):
    """Which pretrained network."""

    name: str = Field("starter", min_length=1, description="timm architecture, or the name of a bundled backbone")
    source: Literal["bundled", "timm", "local"] = Field("bundled", description="where the weights come from")
    weights: str = Field("", description="local: a .safetensors file or a timm model folder")
    pretrained: StrictBool = Field(True, description="start from pretrained weights")


class Attachment(RecipeModel):
    """A PEFT method attached to the layers that ``at`` matches. The method's own fields are in ``config``."""

    name: AttachmentName
    method: str = Field(min_length=1)
    at: tuple[str, ...] = Field(min_length=1, description="layer paths or patterns, such as blocks.*.attn.qkv")
    slices: tuple[Slice, ...] = Field((), description="parts of a fused qkv; empty means the whole layer")
    enabled: StrictBool = True
    config: Mapping[str, ConfigValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_config(cls, value: Any) -> Any:
        """In a file the method's fields stand beside ours: gather those that are not ours."""
        if not isinstance(value, Mapping):
            return value
        own = {key: item for key, item in value.items() if key in cls.model_fields}
        config = own.pop("config", {})
        return own | {"config": {**config, **{k: v for k, v in value.items() if k not in cls.model_fields}}}

    def with_absolute_paths(self, folder: Path) -> Self:
        """The same with the folders in :data:`ADAPTER_FOLDERS_FIELD` absolute, relative ones counted from ``folder``."""
        places = self.config.get(ADAPTER_FOLDERS_FIELD)
        if not isinstance(places, list | tuple):
            return self
        found = [_absolute(place, folder) if isinstance(place, str) else place for place in places]
        return self.model_copy(update={"config": {**self.config, ADAPTER_FOLDERS_FIELD: found}})

    @field_serializer("config")
    def _config_as_dict(self, config: Mapping[str, ConfigValue]) -> dict[str, ConfigValue]:
        return dict(config)


class Head(RecipeModel):
    """The classifier on top of the backbone."""

    trainable: StrictBool = Field(True, description="train the classifier together with the attachments")


class Split(RecipeModel):
    """How images are divided where the folder does not already do it."""

    validation: StrictFloat = Field(0.2, gt=0, lt=1, description="fraction of each class kept for validation")
    seed: StrictInt = Field(0, ge=0, description="seed of the division")
    copies_together: StrictBool = Field(
        False, description="keep images that look alike on one side; each is opened once"
    )
    group: Literal["list", "folder", "none"] = Field(
        "list", description="images that stay together: by the group column of a list, or by folders inside a class"
    )
    folds: StrictInt = Field(
        0, ge=0, le=100, description="divide into this many equal parts instead; 0 for no such parts"
    )
    fold: StrictInt = Field(0, ge=0, description="which of the folds is kept for validation, counted from 0")

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds is 0 for none, or at least 2")
        if self.fold and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, but counted from 0 it must be below folds, which is {self.folds}")
        return self


class Transforms(RecipeModel):
    """What is done to an image before the backbone sees it; size and normalisation come from the backbone.

    The amounts are those of ``augmentation = "custom"``; the other presets bring their own.
    """

    augmentation: Literal["none", "light", "strong", "custom"] = Field(
        "none", description="random changes to training images"
    )
    rotation: StrictFloat = Field(0.0, ge=0, le=180, description="turned by up to this many degrees")
    translation: StrictFloat = Field(0.0, ge=0, le=0.5, description="moved by up to this fraction of the edge")
    scale: StrictFloat = Field(0.0, ge=0, le=0.9, description="larger or smaller by up to this fraction")
    shear: StrictFloat = Field(0.0, ge=0, le=45, description="slanted by up to this many degrees")
    brightness: StrictFloat = Field(0.0, ge=0, le=1, description="brighter or darker by up to this fraction")
    contrast: StrictFloat = Field(0.0, ge=0, le=1, description="more or less contrast by up to this fraction")
    saturation: StrictFloat = Field(0.0, ge=0, le=1, description="stronger or paler colours by up to this fraction")
    erasing: StrictFloat = Field(0.0, ge=0, le=1, description="how often a rectangle is painted over")
    flip: StrictFloat = Field(
        0.0, ge=0, le=1, description="how often left and right are swapped; not for letters and digits"
    )


class Data(RecipeModel):
    """Which images, and what the user decided about some of them: the files themselves stay as they are.

    Images are named by their path from ``path``, with slashes (:func:`studio.data.images.path_text.recipe_path`).
    """

    path: str = Field("", description="a folder with one folder of images for each class, a list, or an archive")
    excluded: tuple[str, ...] = Field((), description="images that are not used")
    split: Split = Split()
    transforms: Transforms = Transforms()
    labels: Mapping[str, str] = Field(default_factory=dict, description="images that are of another class than listed")
    split_overrides: Mapping[str, SplitName] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("split_overrides", "sides"),
        description="images that are in this split whatever else",
    )
    acknowledged: Mapping[str, str] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("acknowledged", "kept"),
        description="findings that were looked at and are fine: a hash of the files, by kind",
    )

    @field_serializer("labels", "split_overrides", "acknowledged")
    def _mapping_as_dict(self, given: Mapping[str, str]) -> dict[str, str]:
        return dict(given)

    def __hash__(self) -> int:
        """By what can be hashed; equal data have equal hashes."""
        return hash((self.path, self.excluded, self.split, self.transforms))


class Training(RecipeModel):
    """How to train."""

    epochs: StrictInt = Field(10, ge=1, le=100_000)
    batch_size: StrictInt = Field(32, ge=1, le=65_536)
    accumulation: StrictInt = Field(
        1,
        ge=1,
        le=65_536,
        description="parts that each batch is computed in, to need less memory; the step is the same",
    )
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: StrictFloat = Field(1e-3, gt=0, le=100)
    weight_decay: StrictFloat = Field(0.01, ge=0, le=10)
    layer_decay: StrictFloat = Field(
        1.0, gt=0, le=1, description="factor on the rate from each block to the one before it; 1 trains all alike"
    )
    schedule: Literal["cosine", "one-cycle", "constant"] = Field(
        "cosine", description="how the rate goes on after the warm-up; one-cycle wants a long one, such as 0.3"
    )
    warmup: StrictFloat = Field(
        0.05, ge=0, lt=1, description="fraction of all steps over which the rate rises from zero"
    )
    label_smoothing: StrictFloat = Field(0.0, ge=0, lt=1)
    mixup: StrictFloat = Field(
        0.0, ge=0, le=10, description="lay images over each other, such as 0.2: more is a more even blend; 0 does not"
    )
    cutmix: StrictFloat = Field(
        0.0, ge=0, le=10, description="paste a piece of another image in, such as 1: more is larger pieces; 0 does not"
    )
    fixed_views: StrictInt = Field(
        0, ge=0, le=1000, description="make only this many changed versions of each image, which is faster; 0: no limit"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced lets classes with few images count as much as those with many"
    )
    gradient_clip: StrictFloat = Field(1.0, ge=0, description="largest gradient norm; 0 switches clipping off")
    ema: StrictFloat = Field(
        0.0, ge=0, lt=1, description="keep a running average of the adapter, such as 0.99, and use that; 0 does without"
    )
    best_by: Literal["accuracy", "loss"] = Field(
        "accuracy", description="what decides, on the validation images, which epoch is the best"
    )
    patience: StrictInt = Field(
        0, ge=0, le=100_000, description="stop after this many epochs without a new best; 0 trains them all"
    )
    seed: StrictInt = Field(0, ge=0)
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    gradient_checkpointing: StrictBool = Field(
        False, description="need much less memory for a third more time; results are the same"
    )
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto", description="how numbers lie in memory; auto is what is fastest for the backbone"
    )
    compile: StrictBool = Field(
        False, description="let torch compile the backbone: a slow start and then faster steps, where it works"
    )


class Recipe(RecipeModel):
    """One fine-tuning, completely described."""

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
            raise ValueError(f"two attachments are called {twice!r}; give each its own name")
        return self

    @classmethod
    def loads(cls, text: str, origin: str = "recipe") -> Self:
        """Parse TOML; raise StudioError naming ``origin`` and the path of the first wrong key."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudioError(f"{origin} is not valid TOML: {error}.") from error
        return cls.from_mapping(raw, origin)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], origin: str = "recipe") -> Self:
        """Validate plain data; raise StudioError naming ``origin`` and the path of the first wrong key."""
        schema = raw.get("schema")
        if isinstance(schema, int) and schema > 1:
            raise StudioError(
                f"{origin}: schema {schema} is of a newer version of PEFT Studio; install that to open it."
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise StudioError(f"{origin}: {first_error(error)}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a recipe file; raise StudioError where it is missing or wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise StudioError(f"{path} is not a recipe: it is not text.") from error
        except FileNotFoundError as error:
            raise StudioError(f"There is no recipe {path}; it was moved, renamed or deleted.") from error
        except OSError as error:
            raise StudioError(f"The recipe {path} cannot be read: {error.strerror}.") from error
        return cls.loads(text, str(path))

    def dumps(self) -> str:
        """TOML in a fixed order with every value, so that the file means the same next year."""
        raw = self.model_dump(by_alias=True)
        raw["attachments"] = [_flatten_config(a) for a in raw["attachments"]]
        return tomli_w.dumps(raw)

    def save(self, path: Path) -> None:
        """Write the recipe atomically."""
        write_text(path, self.dumps())

    def with_absolute_paths(self, folder: Path) -> Self:
        """The same recipe with the paths in it absolute, relative ones counted from ``folder``."""
        data = self.data.model_copy(update={"path": _absolute(self.data.path, folder)})
        backbone = self.backbone.model_copy(update={"weights": _absolute(self.backbone.weights, folder)})
        attachments = tuple(attachment.with_absolute_paths(folder) for attachment in self.attachments)
        return self.model_copy(update={"data": data, "backbone": backbone, "attachments": attachments})

    def find_attachment(self, name: str) -> Attachment:
        """The attachment called ``name``; KeyError where there is none."""
        for attachment in self.attachments:
            if attachment.name == name:
                return attachment
        raise KeyError(name)


def first_error(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence that begins with the key's path."""
    first = error.errors(include_url=False)[0]
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]).removeprefix(".")
    if first["type"] == "extra_forbidden":
        return f"{path} is not a known key."
    message = first["msg"].removeprefix("Value error, ")
    return f"{path}: {message}." if path else f"{message}."


def _flatten_config(attachment: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = attachment.pop("config")
    return attachment | config


def _absolute(path: str, folder: Path) -> str:
    if not path or path.startswith(BUNDLED_PREFIX):
        return path
    return str(resolve_path(path, folder))
