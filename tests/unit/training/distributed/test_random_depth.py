"""Random depths of adapters, also of a plugin's, are the same in all processes."""

import torch
from torch import Tensor, nn

from studio.peft import AdaptedLayer
from studio.training.distributed.context import DistributedContext


class RandomSkip(AdaptedLayer):
    """A plugin's layer that skips its adapter in random steps."""

    may_skip_steps = True

    def __init__(self, base: nn.Module) -> None:
        super().__init__(base)
        self.generator: torch.Generator | None = None

    def draw_depths_from(self, generator: torch.Generator) -> None:
        self.generator = generator

    def forward_adapted(self, x: Tensor) -> Tensor:
        return self.base_layer(x) * int(torch.randint(8, (), generator=self.generator))


def outputs(rank: int) -> list[float]:
    """Return the outputs of 12 training steps in the process ``rank`` of two."""
    context = DistributedContext(rank, 2)
    module = nn.Sequential(nn.Identity(), RandomSkip(nn.Identity()))
    context.sync_drop_depths(module)
    result = []
    for step in range(12):
        context.seed_rank(7, step)
        torch.rand(rank)  # the ranks may consume different amounts of global random numbers
        result.append(float(module(torch.ones(()))))
    return result


def test_a_plugins_layer_draws_the_same_depths_in_all_processes() -> None:
    with torch.random.fork_rng(devices=[]):
        first, second = outputs(0), outputs(1)
    assert first == second
    assert len(set(first)) > 2
