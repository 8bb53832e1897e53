"""What is wrong with a recipe on a backbone: a list of problems, never an exception."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.layers import Layer
from studio.core.recipe import Recipe
from studio.peft.target_matching import match_targets


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps the recipe from being trained: the key's path in the recipe, and a sentence."""

    path: str
    text: str


def check_recipe(recipe: Recipe, layers: Sequence[Layer]) -> list[Problem]:
    """The problems of the attachments, and a recipe in which nothing would train."""
    problems = [
        Problem(f"attachments[{index}]", f"{attachment.name}: {resolution.problem}")
        for index, attachment in enumerate(recipe.attachments)
        if attachment.enabled and (resolution := match_targets(attachment, layers)).problem
    ]
    if not recipe.head.trainable and not any(a.enabled for a in recipe.attachments):
        problems.append(Problem("head.trainable", "Nothing would train: attach a method or let the head train."))
    return problems
