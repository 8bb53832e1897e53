"""Adapter packs: several trained adapters on one backbone, each with its own classes, one of them active at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from studio.backbones.layer_roles import classifier_paths
from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.peft.adapter_file import AdapterManifest, attach_adapter, check_same_backbone, read_manifest
from studio.peft.attach import AdaptedModel


@dataclass(frozen=True, slots=True)
class AdapterEntry:
    """One adapter of a pack. ``labels`` are its classes in the order of its head's outputs."""

    name: str
    labels: tuple[str, ...]
    attached: AdaptedModel
    head: "ClassifierHead"


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The layers of a classifier by path, and the count of classes that timm keeps beside them."""

    layers: Mapping[str, nn.Module]
    num_classes: int | None

    @classmethod
    def from_module(cls, module: nn.Module) -> "ClassifierHead":
        """The classifier that ``module`` has now."""
        layers = {path: module.get_submodule(path) for path in classifier_paths(module)}
        return cls(layers, getattr(module, "num_classes", None))

    def apply_to(self, module: nn.Module) -> None:
        """Make it the classifier of ``module``."""
        for path, layer in self.layers.items():
            parent, _, name = path.rpartition(".")
            module.get_submodule(parent)._modules[name] = layer
        vars(module).update({} if self.num_classes is None else {"num_classes": self.num_classes})


class AdapterSet:
    """Adapters that the export ``adapter`` wrote, on a bare timm backbone that they share.

    Activating another exchanges what stands in the tree and copies no tensor, so it takes milliseconds however large
    the backbone is, and its own tensors are never touched. Do not activate while the backbone computes.
    """

    def __init__(self, module: nn.Module) -> None:
        if not hasattr(module, "reset_classifier") or not classifier_paths(module):
            raise StudioError("A pack needs a timm backbone with a classifier, which each adapter replaces by its own.")
        self.module = module.eval()
        self._backbone_identity = weights_digest(module)
        self._original_head = ClassifierHead.from_module(module)
        self._requires_grad_flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
        self._entries: dict[str, AdapterEntry] = {}
        self._active: AdapterEntry | None = None

    def __iter__(self) -> Iterator[AdapterEntry]:
        return iter(self._entries.values())

    @property
    def active(self) -> AdapterEntry | None:
        """The adapter that ``module`` answers with; None where the backbone is bare."""
        return self._active

    def add(self, name: str, folder: Path) -> AdapterEntry:
        """Read the adapter in ``folder``; which one is active stays as it is.

        Raises StudioError, with everything as it was, where the name is taken, the adapter was made for another
        backbone, or it has no classes of its own.
        """
        if name in self._entries:
            raise StudioError(f"The pack already has an adapter called {name!r}; choose another name.")
        description = read_manifest(folder)
        check_same_backbone(description, self._backbone_identity, folder)
        labels = _labels(description, folder)
        with self._bare_backbone():
            self.module.reset_classifier(len(labels))  # type: ignore[operator]
            head = ClassifierHead.from_module(self.module)
            attached = attach_adapter(self.module, folder, description)
            attached.unload()
        self._entries[name] = AdapterEntry(name, labels, attached, head)
        return self._entries[name]

    def entry(self, name: str) -> AdapterEntry:
        """The adapter called ``name``, active or not; StudioError where there is none."""
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries) or "none"
            raise StudioError(f"The pack has no adapter called {name!r}; there are {known}.") from None

    def activate(self, name: str) -> AdapterEntry:
        """Answer with the adapter called ``name`` from now on; StudioError where there is none."""
        member = self.entry(name)
        if member is not self._active:
            self.deactivate()
            self._activate_entry(member)
        return member

    def deactivate(self) -> None:
        """Leave the backbone bare, with the classifier that it came with."""
        if self._active is not None:
            self._active.attached.unload()
            self._active = None
        self._original_head.apply_to(self.module)

    def remove(self, name: str) -> None:
        """Forget an adapter; where it was active, the backbone is bare afterwards. KeyError where there is none."""
        if self._entries.pop(name) is self._active:
            self.deactivate()

    def release(self) -> nn.Module:
        """Forget all adapters and return the backbone as it came."""
        self.deactivate()
        self._entries.clear()
        for parameter, flag in self._requires_grad_flags:
            parameter.requires_grad_(flag)
        return self.module

    def _activate_entry(self, entry: AdapterEntry) -> None:
        entry.head.apply_to(self.module)
        entry.attached.reload()
        self._active = entry

    @contextmanager
    def _bare_backbone(self) -> Iterator[None]:
        """The bare backbone for a while; whatever happens, what was active is so again afterwards."""
        before = self._active
        self.deactivate()
        try:
            yield
        finally:
            self.deactivate()
            if before is not None:
                self._activate_entry(before)


def _labels(description: AdapterManifest, folder: Path) -> tuple[str, ...]:
    labels: Any = description.metadata.get("labels")
    if not isinstance(labels, list) or not labels:
        raise StudioError(f"The adapter in {folder} does not name its classes, so it cannot be in a pack.")
    return tuple(map(str, labels))
