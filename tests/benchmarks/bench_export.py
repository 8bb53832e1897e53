"""Inference time of a merged backbone, and time to switch the adapter of an adapter set."""

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


@benchmark("Merged LoRA at inference on ViT-S/16, difference from the plain backbone's time", "of it", at_most=0.03)
def merged_latency() -> Measured:
    plain = backbone().eval()
    merged = attach(backbone(), [Attachment(name="a", method="lora", at=(QKV,))]).merge()
    assert [type(layer) for layer in merged.modules()] == [type(layer) for layer in plain.modules()]
    ratio = statistics.median(speed_ratio(forward(plain), forward(merged)) for _ in range(REPEATS))
    return Measured(abs(ratio - 1), {"merged / plain": ratio})


@benchmark("Switch the adapter of an adapter set on ViT-B/16, slowest", "milliseconds", at_most=50)
def adapter_switch() -> Measured:
    module = timm.create_model("vit_base_patch16_224", num_classes=10).eval()
    digest = loading.weights_digest(module)
    with tempfile.TemporaryDirectory() as folder:
        adapters = two_adapters(module, Path(folder), digest)
    times = [milliseconds(adapters, name) for name in ("one", "other") * SWITCHES]
    adapters.deactivate()
    assert loading.weights_digest(module) == digest
    return Measured(max(times), {"median": statistics.median(times), "switches": len(times)})


def two_adapters(module: nn.Module, folder: Path, digest: str) -> AdapterSet:
    """Return two adapters on q and v of every block, with heads of different sizes."""
    attachment = Attachment(name="a", method="lora", at=(QKV,), slices=("q", "v"))
    for name, classes in (("one", 10), ("other", 3)):
        backbone = copy.deepcopy(module)
        backbone.reset_classifier(classes)  # type: ignore[operator]
        (folder / name).mkdir()
        labels = [str(number) for number in range(classes)]
        save_adapter(attach(backbone, [attachment]), [attachment], folder / name, digest, {"labels": labels})
    adapters = AdapterSet(module)
    for name in ("one", "other"):
        adapters.add(name, folder / name)
    return adapters


def milliseconds(adapters: AdapterSet, name: str) -> float:
    """Return the wall time of one switch."""
    start = time.perf_counter()
    adapters.activate(name)
    return 1000 * (time.perf_counter() - start)


def forward(module: nn.Module) -> Step:
    images = torch.randn(BATCH, 3, 224, 224)

    def step() -> None:
        with torch.inference_mode():
            module(images)

    return step
