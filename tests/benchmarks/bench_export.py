"""What a merged backbone costs at inference, against the backbone that it was made of."""

import torch
from torch import nn

from studio.core.recipe import Attachment
from studio.peft import attach
from tests.benchmarks.bench_peft import QKV, backbone
from tests.benchmarks.harness import Step, benchmark, speed_ratio

BATCH = 8


@benchmark("Merged LoRA at inference on ViT-S/16, against the bare backbone", "times as long", at_most=1.03)
def merged_latency() -> float:
    bare = backbone().eval()
    merged = attach(backbone(), [Attachment(name="a", method="lora", at=(QKV,))]).merge()
    assert [type(layer) for layer in merged.modules()] == [type(layer) for layer in bare.modules()]
    return speed_ratio(forward(bare), forward(merged))


def forward(module: nn.Module) -> Step:
    images = torch.randn(BATCH, 3, 224, 224)

    def step() -> None:
        with torch.inference_mode():
            module(images)

    return step
