"""The process that estimates one recipe, which is its argument.

It prints one event: the ResourceEstimate, or an Error with the code and the text of a StudioError.
"""

import sys
from pathlib import Path

from studio.app import training
from studio.app.estimate_cache import estimate_in_process
from studio.core.errors import StudioError
from studio.core.events import Error, Event


def estimate_file(path: Path) -> Event:
    """Check the recipe at ``path`` and train it for a few steps."""
    try:
        recipe = training.load_recipe(path)
        training.check_trainable(recipe)
        return estimate_in_process(recipe)
    except StudioError as error:
        return Error(text=error.message, code=error.code)


if __name__ == "__main__":
    sys.stdout.write(estimate_file(Path(sys.argv[1])).to_json() + "\n")
