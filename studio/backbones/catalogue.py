"""Which backbones there are: the bundled ones and timm's architectures. Lists without building any."""

import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from studio.core.paths import resource
from studio.core.recipe import Backbone


@dataclass(frozen=True, slots=True)
class Entry:
    """One backbone of the catalogue.

    ``input_size`` is (height, width) in pixels; ``available`` says whether the weights are on this machine.
    """

    name: str
    source: str
    input_size: tuple[int, int]
    licence: str
    available: bool

    @property
    def backbone(self) -> Backbone:
        """The recipe's words for it."""
        return Backbone.model_validate({"name": self.name, "source": self.source})


def search(pattern: str = "") -> list[Entry]:
    """Entries whose name contains ``pattern`` (or matches it, where it has a ``*``), bundled ones first."""
    wanted = pattern.lower() if "*" in pattern else f"*{pattern.lower()}*"
    return [entry for entry in _all() if fnmatch.fnmatchcase(entry.name.lower(), wanted)]


@lru_cache(maxsize=1)
def _all() -> tuple[Entry, ...]:
    return (*_bundled(), *_timm())


def _bundled() -> Iterator[Entry]:
    for config in sorted(resource().glob("*/config.json")):
        cfg = json.loads(config.read_text(encoding="utf-8"))["pretrained_cfg"]
        height, width = cfg["input_size"][-2:]
        yield Entry(config.parent.name, "bundled", (height, width), cfg.get("license") or "not stated", True)


def _timm() -> Iterator[Entry]:
    import timm
    from timm.models import get_pretrained_cfg

    for name in timm.list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        size = (cfg.input_size if cfg else None) or (3, 0, 0)
        licence = (cfg.license if cfg else None) or "not stated"
        yield Entry(name, "timm", (size[-2], size[-1]), licence, _is_cached(cfg.hf_hub_id if cfg else None))


def _is_cached(repository: str | None) -> bool:
    """Whether the hub's cache on this machine has the repository."""
    return bool(repository) and (_hub_cache() / f"models--{str(repository).replace('/', '--')}" / "snapshots").is_dir()


@lru_cache(maxsize=1)
def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)
