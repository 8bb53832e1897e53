"""Epochs of training against HF peft, full fine-tuning and training without the feature cache.

ViT-S/16 in batches of 16, on two threads; the compared trainings run their epochs in turn in one process. The others
get their images as tensors in memory, so that only the training is compared; ours come from PNG files, which are
decoded in the first epoch. ``STUDIO_BENCH_THREADS=1`` measures CPU time on one thread, for a busy machine.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import peft
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.training.backend import memory
from studio.training.feature_cache import frozen_prefix
from studio.training.trainer import Trainer
from tests.benchmarks.harness import Measured, benchmark

THREADS = int(os.environ.get("STUDIO_BENCH_THREADS", "2"))
clock = time.perf_counter if THREADS > 1 else time.process_time
BATCH, CLASSES, SIZE = 16, 4, 224
VIT = "vit_small_patch16_224"
DEPTH, WIDTH, TOKENS, HIDDEN, RANK = 12, 384, 197, 1536, 8
CPU = torch.device("cpu")
Epoch = Callable[[], object]


@contextmanager
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# the trainings


@dataclass
class Ours:
    """A training of the program; :meth:`epoch` is its next epoch, without validation and checkpoints."""

    session: Trainer

    def epoch(self) -> None:
        for batch in self.session.batches():
            for _ in self.session.step(batch):
                pass
        self.session.train_state.next_epoch()


@dataclass
class Plain:
    """A plain training loop over images in memory, in float32."""

    module: nn.Module
    images: Tensor
    labels: Tensor
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.module.train()
        self.optimizer = torch.optim.AdamW([p for p in self.module.parameters() if p.requires_grad], lr=1e-4)

    def epoch(self) -> None:
        for places in torch.randperm(len(self.images)).split(BATCH):
            self.optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self.module(self.images[places]), self.labels[places]).backward()
            self.optimizer.step()


def png_files(folder: Path, count: int, size: int) -> None:
    """``count`` images of noise for training and a quarter of that for validation, in folders by class."""
    draw = np.random.default_rng(0)
    for split, number in (("train", count), ("val", max(CLASSES, count // 4))):
        for index in range(number):
            target = folder / split / f"class{index % CLASSES}"
            target.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(target / f"{index:05}.png", compress_level=1)


def ours(folder: Path, blocks: str, precision: str, *, keep: bool = True, batch: int = BATCH) -> Ours:
    """LoRA on qkv of ``blocks`` (a pattern), or the classifier alone; ``keep`` uses the feature cache."""
    lora = {"name": "lora", "method": "lora", "at": [f"blocks.{blocks}.attn.qkv"], "rank": RANK}
    recipe = Recipe.from_mapping(
        {
            "backbone": {"name": VIT, "source": "timm", "pretrained": False},
            "attachments": [lora] if blocks else [],
            "data": {"path": str(folder)},
            "training": {"batch_size": batch, "epochs": 1000, "precision": precision, "device": "cpu"},
        }
    )
    with patch.object(frozen_prefix, "find_split", frozen_prefix.find_split if keep else lambda *_: None):
        session = Trainer.prepare(Run.create(recipe, Path(tempfile.mkdtemp(dir=folder.parent)) / "run"), resume=False)
    assert bool(session.inputs.first_trained_layer) == (keep and blocks != "*")
    return Ours(session)


def theirs(blocks: str, images: int) -> Plain:
    """HF peft's LoRA on qkv of ``blocks`` (a regular expression)."""
    config = peft.LoraConfig(
        r=RANK, lora_alpha=RANK, target_modules=rf"blocks\.({blocks})\.attn\.qkv", modules_to_save=["head"]
    )
    return Plain(peft.get_peft_model(backbone(), config), *noise(images))


def full_fine_tuning(images: int) -> Plain:
    return Plain(backbone(), *noise(images))


def backbone() -> nn.Module:
    return timm.create_model(VIT, num_classes=CLASSES)


def noise(images: int) -> tuple[Tensor, Tensor]:
    return torch.randn(images, 3, SIZE, SIZE), torch.arange(images) % CLASSES


# races


@contextmanager
def images_on_disk(count: int, size: int = SIZE) -> Iterator[Path]:
    """Yield the folder of the images, with an empty home, so that no cached features of another run are used."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"PEFT_STUDIO_HOME": f"{folder}/home"}):
        png_files(Path(folder) / "images", count, size)
        yield Path(folder) / "images"


def race(epochs: int, trainings: Sequence[Epoch]) -> list[list[float]]:
    """Return the seconds of each training's epochs; the trainings alternate, and so does the first one."""
    times: list[list[float]] = [[] for _ in trainings]
    for number in range(epochs):
        order = [(place + number) % len(trainings) for place in range(len(trainings))]
        for place in order:
            start = clock()
            trainings[place]()
            times[place].append(clock() - start)
    return times


@cache
def all_blocks() -> dict[str, list[float]]:
    """Return the seconds of single-batch epochs with LoRA in all blocks, after a warm-up epoch."""
    with two_threads(), images_on_disk(BATCH) as folder:
        names = ("ours bfloat16", "ours float32", "peft float32", "full fine-tuning float32")
        trainings = (
            ours(folder, "*", "bfloat16"),
            ours(folder, "*", "float32"),
            theirs(r"\d+", BATCH),
            full_fine_tuning(BATCH),
        )
        race(1, [one.epoch for one in trainings])
        return dict(zip(names, race(6, [one.epoch for one in trainings]), strict=True))


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median ratio of epochs that ran one after the other."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


@benchmark("Training with LoRA in all blocks in bfloat16, against HF peft in float32", "times as fast", at_least=1.7)
def all_blocks_against_peft() -> Measured:
    times = all_blocks()
    steps = {name: median(values) for name, values in times.items()}
    return Measured(ratio(times["peft float32"], times["ours bfloat16"]), {"seconds a step": steps})


@benchmark("Training with LoRA in all blocks in float32, against HF peft in float32", "times as fast", at_least=1.0)
def all_blocks_float32() -> float:
    return ratio(all_blocks()["peft float32"], all_blocks()["ours float32"])


@benchmark("Training with LoRA in all blocks in bfloat16, against full fine-tuning in float32", "times as fast")
def all_blocks_against_full() -> float:
    return ratio(all_blocks()["full fine-tuning float32"], all_blocks()["ours bfloat16"])


@cache
def last_four() -> list[list[float]]:
    """Return the seconds of five epochs over 48 images with LoRA in the last 4 of 12 blocks.

    One list each: with the feature cache, without it, and HF peft in float32.
    """
    images = 3 * BATCH
    with two_threads(), images_on_disk(images) as folder:
        warm_up(ours(folder, "*", "bfloat16", batch=BATCH))
        return race(
            5,
            [
                ours(folder, "{8..11}", "bfloat16").epoch,
                ours(folder, "{8..11}", "bfloat16", keep=False).epoch,
                theirs("8|9|10|11", images).epoch,
            ],
        )


def warm_up(one: Ours) -> None:
    """Run one step, for the work that happens once in a process."""
    for _ in one.session.step(next(one.session.batches())):
        pass


@benchmark(
    "Training the last 4 blocks for 5 epochs in bfloat16, against the same without the feature cache",
    "times as fast",
    at_least=1.5,
)
def last_four_against_uncached() -> Measured:
    cached, uncached, peft32 = last_four()
    seconds = {"cached": cached, "uncached": uncached, "peft float32": peft32}
    return Measured(sum(uncached) / sum(cached), {"images": 3 * BATCH, "seconds an epoch": seconds})


@benchmark(
    "Training the last 4 blocks for 5 epochs in bfloat16, against HF peft in float32", "times as fast", at_least=2.5
)
def last_four_against_peft() -> float:
    cached, _, peft32 = last_four()
    return sum(peft32) / sum(cached)


def cached_against_uncached(blocks: str, epochs: int, batches: int) -> Measured:
    """Return how many times faster ``epochs`` epochs are with the feature cache, filling included; both in bfloat16."""
    images = batches * BATCH
    with two_threads(), images_on_disk(images) as folder:
        warm_up(ours(folder, "*", "bfloat16"))
        cached, uncached = race(epochs, [ours(folder, blocks, "bfloat16", keep=keep).epoch for keep in (True, False)])
    return Measured(sum(uncached) / sum(cached), {"images": images, "cached": cached, "uncached": uncached})


@benchmark(
    "Training the last block for 20 epochs, against the same without the feature cache", "times as fast", at_least=4.5
)
def last_block() -> Measured:
    return cached_against_uncached("11", 20, batches=3)


@benchmark(
    "Training the classifier for 10 epochs, against the same without the feature cache", "times as fast", at_least=9.0
)
def linear_probe() -> Measured:
    return cached_against_uncached("", 10, batches=10)


# arithmetic


def gemm_flops(precision: torch.dtype, seconds: float = 2.0) -> float:
    """Return the peak FLOP/s of the largest matrix product of this network, measured for some seconds."""
    tokens = torch.randn(BATCH * TOKENS, WIDTH).to(precision)
    weight = torch.randn(HIDDEN, WIDTH).to(precision)
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = clock()
        nn.functional.linear(tokens, weight)
        times.append(clock() - start)
    return 2 * BATCH * TOKENS * WIDTH * HIDDEN / min(times)


def step_flops(first: int, computed: int, precision: str) -> int:
    """Multiplications and additions of a step with LoRA on qkv from block ``first``, of which ``computed`` blocks run.

    Backward, a frozen product costs as much as forward (for its input alone), where anything before it trains; what
    trains costs twice that. Attention's products both have two gradients; the fused kernel, which is used in float32
    alone, makes its scores again, so its backward is two and a half times its forward. The input of the first trained
    block needs no gradient.
    """
    n = BATCH * TOKENS
    linear = {"qkv": 3 * WIDTH * WIDTH, "proj": WIDTH * WIDTH, "mlp": 2 * WIDTH * HIDDEN}
    lora = 2 * n * RANK * (WIDTH + 3 * WIDTH)
    attention = 2 * 2 * BATCH * TOKENS * TOKENS * WIDTH
    backward_attention = 2 * attention if precision == "bfloat16" else attention * 5 // 2
    patches = 2 * BATCH * (TOKENS - 1) * 3 * 16 * 16 * WIDTH if computed == DEPTH else 0
    trained = DEPTH - first
    forward = computed * (2 * n * sum(linear.values()) + attention) + trained * lora
    backward = trained * (2 * n * sum(linear.values()) + backward_attention + 2 * lora)
    unneeded = 2 * n * linear["qkv"] + 2 * n * RANK * WIDTH if trained else 0
    head = 2 * BATCH * WIDTH * CLASSES
    return patches + forward + backward - unneeded + head * (3 if trained else 2)


def attention_flops(query: list[int], key: list[int], value: list[int], *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def attention_backward_flops(
    grad: list[int], query: list[int], key: list[int], value: list[int], *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward_flops,
}
"""The formulas of torch for operators that it counts only on a GPU."""


@dataclass(frozen=True)
class Work:
    """FLOPs of a step as counted by torch and by the formula, and its seconds."""

    counted: int
    expected: int
    seconds: float


def work(blocks: str, precision: str, first: int, computed: int, keep: bool = True) -> Work:
    """Measure steps after the epoch that fills the feature cache."""
    with two_threads(), images_on_disk(BATCH) as folder:
        one = ours(folder, blocks, precision, keep=keep)
        for _ in range(2):
            one.epoch()
        with FlopCounterMode(display=False, custom_mapping=ATTENTION) as counter:
            one.epoch()
        (seconds,) = race(6, [one.epoch])
    return Work(counter.get_total_flops(), step_flops(first, computed, precision), median(seconds))


PROBE = "classifier on cached features, bfloat16"
"""Without a limit: its one small product takes less time than the loop around it."""
CASES = {
    "all blocks, float32": ("*", "float32", 0, DEPTH),
    "all blocks, bfloat16": ("*", "bfloat16", 0, DEPTH),
    "last 4 blocks cached, bfloat16": ("{8..11}", "bfloat16", 8, 4),
    "last block cached, bfloat16": ("11", "bfloat16", 11, 1),
    PROBE: ("", "bfloat16", DEPTH, 0),
}


@cache
def works() -> dict[str, Work]:
    return {name: work(*case) for name, case in CASES.items()}


@benchmark("Arithmetic of a step: torch's count against the formula, largest difference", "of the whole", at_most=0.02)
def flops_agree() -> Measured:
    apart = {name: abs(one.counted / one.expected - 1) for name, one in works().items()}
    counts = {name: {"counted": one.counted, "formula": one.expected} for name, one in works().items()}
    return Measured(max(apart.values()), counts)


def share_of_peak(name: str) -> Measured:
    with two_threads():
        most = gemm_flops(torch.bfloat16 if name.endswith("bfloat16") else torch.float32)
    one = works()[name]
    done = one.counted / one.seconds
    return Measured(done / most, {"GFLOP/s": done / 1e9, "GEMM GFLOP/s": most / 1e9, "seconds a step": one.seconds})


for case in CASES:
    benchmark(f"Share of the measured GEMM peak: {case}", "of the peak", at_least=None if case == PROBE else 0.7)(
        lambda case=case: share_of_peak(case)
    )


# memory and number of images


@benchmark(
    "Memory of training with LoRA in all blocks in bfloat16, against HF peft in float32",
    "times as many bytes",
    at_most=1.0,
)
def memory_against_peft() -> Measured:
    with two_threads(), images_on_disk(BATCH) as folder:
        mine = most_bytes(lambda: ours(folder, "*", "bfloat16").epoch)
        other = most_bytes(lambda: theirs(r"\d+", BATCH).epoch)
    return Measured(mine / other, {"ours": mine, "peft": other})


def most_bytes(make: Callable[[], Epoch]) -> int:
    """Return the peak memory that a new training and two of its epochs add to the process."""
    peak = memory.PeakMemory(CPU)
    epoch = make()
    for _ in range(2):
        epoch()
    return peak.peak_bytes()


@benchmark("Time an image with 16,000 images, against 1,000", "times as long", at_most=1.2)
def linear_in_images() -> Measured:
    rows = {}
    with two_threads():
        for count in (1_000, 4_000, 16_000):
            with images_on_disk(count, size=28) as folder:
                rows[count] = small_training(folder)
    each = {count: seconds / count for count, seconds in rows.items()}
    return Measured(
        each[16_000] / each[1_000], {"seconds": rows, "milliseconds an image": {c: 1e3 * s for c, s in each.items()}}
    )


def small_training(folder: Path) -> float:
    """Return the seconds to list small images and train LoRA in the starter's last block for two epochs."""
    recipe = Recipe.from_mapping(
        {
            "backbone": {"name": "starter"},
            "attachments": [{"name": "lora", "method": "lora", "at": ["blocks.5.attn.qkv"]}],
            "data": {"path": str(folder)},
            "training": {"batch_size": 32, "epochs": 2, "device": "cpu"},
        }
    )
    start = clock()
    with Trainer.prepare(Run.create(recipe, folder.parent / "run"), resume=False) as session:
        one = Ours(session)
        for _ in range(2):
            one.epoch()
    return clock() - start
