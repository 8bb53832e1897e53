"""Problems of a recipe on a backbone, as a list; never an exception."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.layers import Layer
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.peft.target_matching import match_targets


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why the recipe cannot be trained: the path of its key, and one sentence."""

    path: str
    text: str


def check_recipe(recipe: Recipe, layers: Sequence[Layer]) -> list[Problem]:
    """Return the problems of the attachments, and of a recipe in which nothing trains."""
    problems = [
        Problem(
            f"attachments[{index}]",
            N_("{attachment}: {problem}", attachment=attachment.name, problem=match_result.problem),
        )
        for index, attachment in enumerate(recipe.attachments)
        if attachment.enabled and (match_result := match_targets(attachment, layers)).problem
    ]
    if not recipe.head.trainable and not any(a.enabled for a in recipe.attachments):
        text = N_("Nothing is trainable: there is no attachment and the head is frozen. Attach a method.")
        problems.append(Problem("head.trainable", text))
    return problems
