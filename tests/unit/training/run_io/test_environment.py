"""Changes of the environment between two parts of a run."""

import torch

from studio.training.run_io import environment


def test_changes_between_two_environments_are_reported() -> None:
    now = environment.collect_environment(torch.device("cpu"), "float32", "hash")
    before = now | {"threads": 64, "packages": now["packages"] | {"torch": "1.0"}}
    assert environment.environment_changes(now, now) == []
    assert environment.environment_changes(before, now) == [
        f"Results may differ in their last digits: number of threads was 64 and is now {now['threads']}.",
        f"Results may differ in their last digits: torch was 1.0 and is now {now['packages']['torch']}.",
    ]
