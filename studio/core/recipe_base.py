"""The base class and the types of a recipe's fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Slice = Literal["q", "k", "v"]
SplitName = Literal["train", "validation", "test"]
Scalar = bool | int | float | str
ConfigValue = Scalar | list[Scalar] | dict[str, Scalar]
StrictInt = Annotated[int, Strict()]
StrictFloat = Annotated[float, Strict()]
StrictBool = Annotated[bool, Strict()]
AttachmentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]


class RecipeModel(BaseModel):
    """An immutable piece of a recipe; an unknown key or a wrong type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
