"""The data of a recipe: images, split and transforms."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import AliasChoices, Field, field_serializer, model_validator

from studio.core.messages import N_
from studio.core.recipe_base import RecipeModel, SplitName, StrictBool, StrictFloat, StrictInt


class Split(RecipeModel):
    """The split of images into training and validation, unless the folder has one."""

    validation: StrictFloat = Field(
        0.2,
        gt=0,
        lt=1,
        title=N_("Validation fraction"),
        description=N_("fraction of each class that is used for validation"),
    )
    seed: StrictInt = Field(0, ge=0, title=N_("Seed"), description=N_("random seed of the split"))
    copies_together: StrictBool = Field(
        False,
        title=N_("Keep near-duplicates together"),
        description=N_("put images that look alike in the same split; reads every image once"),
    )
    group: Literal["list", "folder", "none"] = Field(
        "list",
        title=N_("Group by"),
        description=N_("images that stay in one split: by the list's group column, or by folders inside a class"),
    )
    folds: StrictInt = Field(
        0,
        ge=0,
        le=100,
        title=N_("K-fold"),
        description=N_("number of equal parts for cross-validation; 0 disables it"),
    )
    fold: StrictInt = Field(
        0,
        ge=0,
        title=N_("Validation fold"),
        description=N_("fold that is used for validation, counted from 0"),
    )

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.folds == 1:
            raise ValueError(N_("folds must be 0, or at least 2"))
        if self.fold and self.fold >= self.folds:
            raise ValueError(
                N_("fold must be below folds, which is {folds}, but is {fold}", fold=self.fold, folds=self.folds)
            )
        return self


class Transforms(RecipeModel):
    """Image transforms before the backbone, which defines size and normalization.

    The magnitudes are those of ``augmentation = "custom"``; the other presets have their own.
    """

    augmentation: Literal["none", "light", "strong", "custom"] = Field(
        "none",
        title=N_("Augmentation"),
        description=N_("random changes to training images"),
    )
    rotation: StrictFloat = Field(
        0.0, ge=0, le=180, title=N_("Rotation"), description=N_("largest rotation in degrees; 0 disables it")
    )
    translation: StrictFloat = Field(
        0.0,
        ge=0,
        le=0.5,
        title=N_("Translation"),
        description=N_("largest shift as a fraction of the edge; 0 disables it"),
    )
    scale: StrictFloat = Field(
        0.0,
        ge=0,
        le=0.9,
        title=N_("Scaling"),
        description=N_("largest relative change of size; 0 disables it"),
    )
    shear: StrictFloat = Field(
        0.0, ge=0, le=45, title=N_("Shear"), description=N_("largest shear angle in degrees; 0 disables it")
    )
    brightness: StrictFloat = Field(
        0.0,
        ge=0,
        le=1,
        title=N_("Brightness"),
        description=N_("largest relative change of brightness; 0 disables it"),
    )
    contrast: StrictFloat = Field(
        0.0,
        ge=0,
        le=1,
        title=N_("Contrast"),
        description=N_("largest relative change of contrast; 0 disables it"),
    )
    saturation: StrictFloat = Field(
        0.0,
        ge=0,
        le=1,
        title=N_("Saturation"),
        description=N_("largest relative change of saturation; 0 disables it"),
    )
    erasing: StrictFloat = Field(
        0.0, ge=0, le=1, title=N_("Random erasing"), description=N_("probability of random erasing")
    )
    flip: StrictFloat = Field(
        0.0,
        ge=0,
        le=1,
        title=N_("Horizontal flip"),
        description=N_("probability of a horizontal flip; keep 0 for letters and digits"),
    )


class Data(RecipeModel):
    """The images, and the user's decisions about some of them; no file is changed.

    Images are named by their path from ``path``, with slashes (:func:`studio.data.images.path_text.recipe_path`).
    """

    path: str = Field(
        "",
        title=N_("Path"),
        description=N_("folder with one folder of images per class, a list, or an archive"),
    )
    excluded: tuple[str, ...] = Field((), title=N_("Excluded"), description=N_("images that are not used"))
    split: Split = Field(Split(), title=N_("Split"))
    transforms: Transforms = Field(Transforms(), title=N_("Transforms"))
    labels: Mapping[str, str] = Field(
        default_factory=dict, title=N_("Labels"), description=N_("corrected classes, by image")
    )
    split_overrides: Mapping[str, SplitName] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("split_overrides", "sides"),
        title=N_("Split overrides"),
        description=N_("fixed splits, by image"),
    )
    acknowledged: Mapping[str, str] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("acknowledged", "kept"),
        title=N_("Ignored issues"),
        description=N_("hash of the files of each ignored issue, by kind"),
    )

    @field_serializer("labels", "split_overrides", "acknowledged")
    def _mapping_as_dict(self, given: Mapping[str, str]) -> dict[str, str]:
        return dict(given)

    def __hash__(self) -> int:
        """Return a hash of the hashable fields; equal data have equal hashes."""
        return hash((self.path, self.excluded, self.split, self.transforms))
