"""The catalog of backbones, the bundled ones and timm's architectures; builds none of them."""

import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from studio.backbones import model_stats, weights
from studio.backbones.licenses import is_non_commercial, license_name
from studio.backbones.search_terms import SearchTerms, correct_spelling, search_terms, split_words
from studio.core.paths import resource
from studio.core.recipe import Backbone

WELL_KNOWN = (
    "resnet18.a1_in1k",
    "resnet50.a1_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "efficientnet_b0.ra_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "deit_tiny_patch16_224.fb_in1k",
    "convnext_tiny.fb_in22k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_base_patch16_clip_224.openai",
)
"""Popular backbones, listed before the other 1,800."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One backbone of the catalog.

    ``input_size`` is (height, width) in pixels; ``available`` tells whether the weights are on this machine.
    ``parameters`` and ``flops`` (floating point operations for one image) are None if unknown. ``repository`` is the
    hub repository of the weights, empty for none.
    """

    name: str
    source: str
    input_size: tuple[int, int]
    license: str
    available: bool
    family: str = ""
    parameters: int | None = None
    flops: int | None = None
    repository: str = ""

    @property
    def backbone(self) -> Backbone:
        """The entry as a recipe's backbone."""
        return Backbone.model_validate({"name": self.name, "source": self.source})

    @property
    def non_commercial(self) -> bool:
        """Whether the license of the weights forbids commercial use."""
        return is_non_commercial(self.license)

    @property
    def weight_bytes(self) -> int | None:
        """Approximate size of the weights in bytes, at four bytes for each parameter; None if unknown."""
        return None if self.parameters is None else 4 * self.parameters


def search(pattern: str = "") -> list[CatalogEntry]:
    """Return the entries that match ``pattern``: words of names, families and sizes, or a name with ``*`` in it.

    Names that begin with it come first, then bundled, downloaded and popular backbones.
    """
    here = weights.cached_repos()
    matches = _match_glob(pattern.lower()) if "*" in pattern else _match_words(split_words(pattern))
    entries = ((far, replace(e, available=True) if e.repository in here else e) for far, e in matches)
    return [entry for _, entry in sorted(entries, key=lambda pair: (pair[0], _sort_rank(pair[1])))]


def did_you_mean(pattern: str) -> str:
    """Return ``pattern`` if it matches, else with corrected spelling; empty if nothing is similar."""
    words, known = split_words(pattern), _all_entries().values()
    if "*" in pattern or any(terms.matches(words) for terms in known):
        return pattern
    corrected = correct_spelling(words, known)
    return " ".join(corrected) if any(terms.matches(corrected) for terms in known) else ""


def _match_glob(pattern: str) -> Iterator[tuple[int, CatalogEntry]]:
    return (
        (0, e) for e in _all_entries() if any(fnmatch.fnmatchcase(text, pattern) for text in (e.name.lower(), e.family))
    )


def _match_words(words: tuple[str, ...]) -> Iterator[tuple[int, CatalogEntry]]:
    return ((terms.distance(words), entry) for entry, terms in _all_entries().items() if terms.matches(words))


def _sort_rank(entry: CatalogEntry) -> int:
    if entry.source == "bundled":
        return 0
    return 1 if entry.available else 2 if entry.name in WELL_KNOWN else 3


@lru_cache(maxsize=1)
def _all_entries() -> dict[CatalogEntry, SearchTerms]:
    return {entry: _entry_terms(entry) for entry in (*_bundled_entries(), *_timm_entries())}


def _entry_terms(entry: CatalogEntry) -> SearchTerms:
    sizes = {str(edge) for edge in entry.input_size}
    if entry.parameters is not None:
        sizes.add(f"{entry.parameters / 1e6:.0f}m")
    return search_terms(entry.name, entry.family, sizes)


def bundled_names() -> list[str]:
    """Return the names of the bundled backbones."""
    return sorted(config.parent.name for config in resource().glob("*/config.json"))


def _bundled_entries() -> Iterator[CatalogEntry]:
    for name in bundled_names():
        raw = json.loads(resource(name, "config.json").read_text(encoding="utf-8"))
        config = raw["pretrained_cfg"]
        height, width = config["input_size"][-2:]
        known = model_stats.lookup_stats(name, (height, width), config.get("num_classes", raw.get("num_classes", 0)))
        yield CatalogEntry(
            name=name,
            source="bundled",
            input_size=(height, width),
            license=license_name(config.get("license")),
            available=True,
            family=_family(raw["architecture"]),
            parameters=known.parameters,
            flops=known.flops,
        )


def _timm_entries() -> Iterator[CatalogEntry]:
    import timm
    from timm.models import get_pretrained_cfg

    for name in timm.list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        size = (cfg.input_size if cfg else None) or (3, 0, 0)
        known = model_stats.lookup_stats(name, size[-2:], cfg.num_classes if cfg else 0)
        yield CatalogEntry(
            name=name,
            source="timm",
            input_size=(size[-2], size[-1]),
            license=license_name(cfg.license if cfg else None),
            available=False,
            family=_family(name),
            parameters=known.parameters,
            flops=known.flops,
            repository=(cfg.hf_hub_id if cfg else None) or "",
        )


def _family(name: str) -> str:
    """Return timm's file of the architecture as words, such as vision transformer, resnet or convnext."""
    from timm.models import model_entrypoint

    return str(model_entrypoint(name.partition(".")[0]).__module__).rpartition(".")[2].replace("_", " ")
