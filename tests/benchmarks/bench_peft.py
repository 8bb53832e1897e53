"""Training steps of low-rank methods against HF peft's on ViT-S/16, and the time to attach and to count."""

from functools import cache

import peft
import timm
import torch
from torch import Tensor, nn

from studio.core.recipe import Attachment
from studio.peft import attach
from tests.benchmarks.harness import Step, benchmark, best_seconds, speed_ratio

BATCH = 16
CLASSES = 10
QKV = "blocks.*.attn.qkv"


class Training:
    """A backbone with its optimizer; :meth:`step` is one training step on random images."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.trained = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4)
        self.images = torch.randn(BATCH, 3, 224, 224)
        self.labels = torch.randint(0, CLASSES, (BATCH,))

    def loss(self, images: int = BATCH) -> Tensor:
        return nn.functional.cross_entropy(self.module(self.images[:images]).float(), self.labels[:images])

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()

    def half_step(self) -> None:
        """One training step under bfloat16 autocast."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss()
        loss.backward()
        self.optimizer.step()

    def activation_bytes(self) -> float:
        """Return the bytes that the forward pass saves for the backward pass, per image."""
        return (self._saved_bytes(4) - self._saved_bytes(2)) / 2

    def _saved_bytes(self, images: int) -> int:
        """Return the bytes of all saved tensors, each storage once, without the weights."""
        weights = {p.untyped_storage().data_ptr() for p in self.module.parameters()}
        saved: dict[int, int] = {}

        def save(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                saved[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
            return tensor

        alive: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            self.loss(images)
        return sum(saved.values())


def backbone() -> nn.Module:
    return timm.create_model("vit_small_patch16_224", num_classes=CLASSES)


@cache
def ours(method: str, slices: tuple[str, ...] = ()) -> Training:
    attached = attach(backbone(), [Attachment(name="a", method=method, at=(QKV,), slices=slices)])
    return Training(attached.train().module)


@cache
def theirs(dora: bool = False) -> Training:
    config = peft.LoraConfig(r=8, lora_alpha=8, target_modules=["qkv"], modules_to_save=["head"], use_dora=dora)
    return Training(peft.get_peft_model(backbone(), config).train())


@benchmark("LoRA step, float32, against HF peft", "times as fast", at_least=1.05)
def lora_float32() -> float:
    return speed_ratio(ours("lora").step, theirs().step)


@benchmark("LoRA step, bfloat16 autocast, against HF peft in float32", "times as fast", at_least=1.7)
def lora_bfloat16() -> float:
    return speed_ratio(ours("lora").half_step, theirs().step)


@benchmark("LoRA on q and v alone, against HF peft on qkv", "times as fast", at_least=1.0)
def lora_slices() -> float:
    return speed_ratio(ours("lora", ("q", "v")).step, theirs().step)


@benchmark("LoRA activations saved for the backward pass, against HF peft", "times as many bytes", at_most=1.0)
def lora_memory() -> float:
    return ours("lora").activation_bytes() / theirs().activation_bytes()


@benchmark("DoRA step against the LoRA step", "times as long", at_most=1.4)
def dora_over_lora() -> float:
    return speed_ratio(ours("lora").step, ours("dora").step)


@benchmark("DoRA step against HF peft's DoRA", "times as fast", at_least=1.0)
def dora_over_peft() -> float:
    return speed_ratio(ours("dora").step, theirs(dora=True).step)


@benchmark("Attach LoRA at 48 sites of ViT-giant", "seconds", at_most=1.0)
def attach_giant() -> float:
    giant = on_meta("vit_giant_patch14_224").to_empty(device="cpu")
    paths = tuple(f"blocks.{i}.{name}" for i in range(24) for name in ("attn.qkv", "attn.proj"))
    return best_seconds(attaching(giant, Attachment(name="a", method="lora", at=paths)))


@benchmark("Count the parameters of a backbone of a billion", "seconds", at_most=0.1)
def count_giant() -> float:
    attached = attach(
        on_meta("vit_giant_patch14_224"), [Attachment(name="a", method="lora", at=(QKV, "blocks.*.mlp.*"))]
    )
    return best_seconds(attached.parameter_counts)


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name, num_classes=CLASSES)


def attaching(module: nn.Module, attachment: Attachment) -> Step:
    def step() -> None:
        attach(module, [attachment]).detach()

    return step
