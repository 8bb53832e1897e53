"""What a merged backbone costs at inference, and what changing the task of a pack takes."""

import copy
import statistics
import tempfile
import time
from pathlib import Path

import timm
import torch
from torch import nn

from studio.backbones import loading
from studio.core.recipe import Attachment
from studio.peft import attach
from studio.peft.adapter_file import save_adapter
from studio.peft.multi_adapter import AdapterSet
from tests.benchmarks.bench_peft import QKV, backbone
from tests.benchmarks.harness import Measured, Step, benchmark, speed_ratio

BATCH = 8
REPEATS = 5
SWITCHES = 20


@benchmark("Merged LoRA at inference on ViT-S/16: how far from the bare backbone's time", "of it", at_most=0.03)
def merged_latency() -> Measured:
    bare = backbone().eval()
    merged = attach(backbone(), [Attachment(name="a", method="lora", at=(QKV,))]).merge()
    assert [type(layer) for layer in merged.modules()] == [type(layer) for layer in bare.modules()]
    ratio = statistics.median(speed_ratio(forward(bare), forward(merged)) for _ in range(REPEATS))
    return Measured(abs(ratio - 1), {"merged / bare": ratio})


@benchmark("Change the task of a pack on ViT-B/16, at worst", "milliseconds", at_most=50)
def pack_switch() -> Measured:
    module = timm.create_model("vit_base_patch16_224", num_classes=10).eval()
    before = loading.weights_digest(module)
    with tempfile.TemporaryDirectory() as folder:
        pack = packed(module, Path(folder), before)
    times = [milliseconds(pack, name) for name in ("one", "other") * SWITCHES]
    assert loading.weights_digest(module) == before
    return Measured(max(times), {"median": statistics.median(times), "switches": len(times)})


def packed(module: nn.Module, folder: Path, identity: str) -> AdapterSet:
    """Two adapters on q and v of every block, with heads of different sizes."""
    attachment = Attachment(name="a", method="lora", at=(QKV,), slices=("q", "v"))
    for name, classes in (("one", 10), ("other", 3)):
        bare = copy.deepcopy(module)
        bare.reset_classifier(classes)  # type: ignore[operator]
        (folder / name).mkdir()
        labels = [str(number) for number in range(classes)]
        save_adapter(attach(bare, [attachment]), [attachment], folder / name, identity, {"labels": labels})
    pack = AdapterSet(module)
    for name in ("one", "other"):
        pack.add(name, folder / name)
    return pack


def milliseconds(pack: AdapterSet, name: str) -> float:
    """What one change takes by the clock."""
    begun = time.perf_counter()
    pack.activate(name)
    return 1000 * (time.perf_counter() - begun)


def forward(module: nn.Module) -> Step:
    images = torch.randn(BATCH, 3, 224, 224)

    def step() -> None:
        with torch.inference_mode():
            module(images)

    return step
