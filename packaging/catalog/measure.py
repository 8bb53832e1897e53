"""Count parameters and FLOPs of all backbones: ``python packaging/catalog/measure.py``.

Takes some minutes. Both are counted on networks without weights, on the meta device, for one image. Counts that fail
are left out of the file that it writes (``STATS_FILE`` in ``resources``).
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial

import timm
import torch
from timm.layers import set_fused_attn
from timm.models import get_pretrained_cfg
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from studio.backbones import catalog
from studio.backbones.loading import build_on_meta, resolve_backbone
from studio.backbones.model_stats import STATS_FILE, stats_key
from studio.core.files import write_text
from studio.core.paths import resource
from studio.core.recipe import Backbone


def backbones() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Yield each architecture and shape once: its key and a function that builds it."""
    seen = set()
    for name in catalog.bundled_names():
        backbone = Backbone(name=name, source="bundled")
        config = resolve_backbone(backbone).pretrained_cfg
        yield stats_key(name, config["input_size"][-2:], config["num_classes"]), partial(build_on_meta, backbone)
    for name in timm.list_models(pretrained=True):
        config = get_pretrained_cfg(name)
        key = stats_key(name, config.input_size[-2:], config.num_classes) if config else ""
        if key and key not in seen:
            seen.add(key)
            yield key, partial(timm.create_model, name)


def measure(key: str, build: Callable[[], nn.Module]) -> tuple[int | None, int | None]:
    """Return parameters and FLOPs for one image; None if one cannot be counted."""
    try:
        with torch.device("meta"):
            module = build().eval().requires_grad_(False)
    except Exception as error:
        print(f"{key}: {type(error).__name__}: {error}", file=sys.stderr)
        return None, None
    return sum(p.numel() for p in module.parameters()), count_flops(key, module)


def count_flops(key: str, module: nn.Module) -> int | None:
    """Return the FLOPs for one image of the size in the network's configuration."""
    image = torch.empty(1, *module.pretrained_cfg["input_size"], device="meta")
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(image)
    except Exception as error:
        print(f"{key}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    return counter.get_total_flops() or None


def main() -> None:
    """Count all backbones and write the file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    set_fused_attn(False)  # a fused kernel hides its matrix products from the counter
    stats = {key: measure(key, build) for key, build in backbones()}
    known = {key: values for key, values in stats.items() if any(values)}
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(values)}" for key, values in sorted(known.items()))
    versions = {"timm": timm.__version__, "torch": torch.__version__, "python": platform.python_version()}
    write_text(resource(STATS_FILE), f'{{"measured_with": {json.dumps(versions)}, "figures": {{\n{rows}\n}}}}\n')
    print(f"{len(known)} of {len(stats)} counted")


if __name__ == "__main__":
    main()
