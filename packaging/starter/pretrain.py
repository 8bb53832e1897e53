"""Pretrain the bundled starter backbone on Fashion-MNIST, from scratch, on a CPU.

    python packaging/starter/pretrain.py --data /usr/share/datasets/fashion-mnist --out resources/starter

It can be interrupted at any time; started again, it resumes after its last epoch. The recipe is that of small ViTs
(AdamW, cosine schedule, label smoothing, averaged weights); half of the patches are dropped in all but the last epochs
(FLIP, Li et al. 2023, https://arxiv.org/abs/2212.00794), which halves the cost of an epoch. The test split selects
nothing: the weights of the last epoch are the ones that ship.
"""

import argparse
import gzip
import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn

ARCHITECTURE = "vit_tiny_patch16_224"
MODEL_ARGS = {
    "img_size": 32,
    "patch_size": 4,
    "embed_dim": 96,
    "depth": 6,
    "num_heads": 3,
    "class_token": False,
    "global_pool": "avg",
}
LABELS = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
BATCH, PEAK_LR, WEIGHT_DECAY, SMOOTHING = 256, 2e-3, 0.05, 0.1


def read_idx(path: Path) -> np.ndarray:
    """Read one gzipped IDX file (http://yann.lecun.com/exdb/mnist) as a uint8 array."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, dtype=">u4", count=rank, offset=4)
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, 32, 32) in [-1, 1], padded from 28x28 with black, and labels (N,)."""
    images = torch.from_numpy(read_idx(folder / f"{split}-images-idx3-ubyte.gz").copy())
    labels = torch.from_numpy(read_idx(folder / f"{split}-labels-idx1-ubyte.gz").copy()).long()
    scaled = images.unsqueeze(1).float() / 127.5 - 1
    return nn.functional.pad(scaled, (2, 2, 2, 2), value=-1.0), labels


def augment(images: Tensor) -> Tensor:
    """Mirror, rotate by up to 10 degrees, scale and shift each image of a batch (N, 1, 32, 32)."""
    n = len(images)
    angle = (torch.rand(n) - 0.5) * math.radians(20)
    scale = 1 + (torch.rand(n) - 0.5) * 0.3
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    shift = (torch.rand(n, 2) - 0.5) * 0.25
    theta = torch.stack(
        [
            scale * mirror * angle.cos(),
            -scale * angle.sin(),
            shift[:, 0],
            scale * mirror * angle.sin(),
            scale * angle.cos(),
            shift[:, 1],
        ],
        1,
    ).view(n, 2, 3)
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images + 1, grid, align_corners=False) - 1


def build() -> nn.Module:
    """Build the untrained backbone with a ten-class head."""
    return timm.create_model(ARCHITECTURE, num_classes=len(LABELS), **MODEL_ARGS)


def learning_rate(progress: float) -> float:
    """Linear warm-up over the first 5 %, then a cosine to zero; ``progress`` in [0, 1]."""
    if progress < 0.05:
        return PEAK_LR * progress / 0.05
    return PEAK_LR * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in [0, 1] over images (N, 1, 32, 32)."""
    model.eval()
    hits = sum(
        (model(x.expand(-1, 3, -1, -1)).argmax(1) == y).sum().item()
        for x, y in zip(images.split(500), labels.split(500), strict=True)
    )
    return hits / len(labels)


def train(data: Path, checkpoint: Path, epochs: int, seed: int) -> nn.Module:
    """Train for ``epochs``, resuming from ``checkpoint`` where one exists; return the averaged model."""
    images, labels = load_split(data, "train")
    test_images, test_labels = load_split(data, "t10k")
    torch.manual_seed(seed)
    model = build()
    average = ModelEmaV3(model, decay=0.998, use_warmup=True)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_LR, fused=True)
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"]
    steps = len(images) // BATCH
    for epoch in range(first, epochs):
        torch.manual_seed(seed + 1000 * epoch)
        started = time.monotonic()
        model.train()
        model.patch_drop = timm.layers.PatchDropout(0.5, num_prefix_tokens=0) if epoch < 0.8 * epochs else nn.Identity()
        order = torch.randperm(len(images))
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch * steps + step) / (epochs * steps))
            picked = order[step * BATCH : (step + 1) * BATCH]
            batch = augment(images[picked]).expand(-1, 3, -1, -1)
            loss = nn.functional.cross_entropy(model(batch), labels[picked], label_smoothing=SMOOTHING)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.update(model, step=epoch * steps + step)
        state = {
            "model": model.state_dict(),
            "average": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epoch": epoch + 1,
        }
        torch.save(state, checkpoint)
        print(
            f"epoch {epoch + 1}/{epochs} loss {loss.item():.3f} "
            f"test {accuracy(average.module, test_images, test_labels):.4f} {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return average.module


def card(measured: float, digest: str, epochs: int, seed: int, parameters: int) -> str:
    """The model card, with what was measured on the file that ships."""
    return f"""# Starter backbone

A Vision Transformer for 32x32 images: patch 4, width 96, 6 blocks, 3 heads, average pooling, {parameters:,} parameters,
stored as fp16.

| | |
|---|---|
| Pretrained on | Fashion-MNIST, 60,000 training images (Zalando SE, https://github.com/zalandoresearch/fashion-mnist) |
| License of data and weights | MIT |
| Script | `packaging/starter/pretrain.py --epochs {epochs} --seed {seed}` |
| Accuracy on the 10,000 test images (this fp16 file, float32 arithmetic) | {measured:.2%} |
| SHA-256 of `model.safetensors` | `{digest}` |

It is made for trying things out offline in minutes. For real work choose a backbone pretrained on ImageNet or better.
"""


def export(model: nn.Module, data: Path, out: Path, epochs: int, seed: int) -> float:
    """Write config, fp16 weights and card to ``out``; return the accuracy of the written file."""
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "model.safetensors"
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors writes for the owner alone
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": len(LABELS),
        "model_args": MODEL_ARGS,
        "label_names": LABELS,
        "pretrained_cfg": {
            "input_size": [3, 32, 32],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "num_classes": len(LABELS),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "mit",
        },
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    restored = build()
    restored.load_state_dict(load_file(weights))
    measured = accuracy(restored.float(), *load_split(data, "t10k"))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    parameters = sum(p.numel() for p in restored.parameters())
    (out / "README.md").write_text(card(measured, digest, epochs, seed, parameters))
    return measured


def main() -> None:
    """Parse the command line, train, export, and print the measured accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="folder of the four IDX files"
    )
    parser.add_argument("--out", type=Path, default=Path("resources/starter"))
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("starter-checkpoint.pt"), help="written after each epoch"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = train(args.data, args.checkpoint, args.epochs, args.seed)
    print(f"test accuracy of the exported file: {export(model, args.data, args.out, args.epochs, args.seed):.4f}")


if __name__ == "__main__":
    main()
