"""Adapter sets: several trained adapters on one backbone, each with its own classes, one active at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from studio.backbones.layer_roles import classifier_paths
from studio.backbones.loading import weights_digest
from studio.core.errors import StudioError
from studio.core.messages import N_
from studio.peft.adapter_file import AdapterManifest, attach_adapter, check_same_backbone, read_manifest
from studio.peft.attach import AdaptedModel


@dataclass(frozen=True, slots=True)
class AdapterEntry:
    """One adapter of a set; ``labels`` are its classes in the order of its head's outputs."""

    name: str
    labels: tuple[str, ...]
    attached: AdaptedModel
    head: "ClassifierHead"


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The layers of a classifier by path, and timm's number of classes."""

    layers: Mapping[str, nn.Module]
    num_classes: int | None

    @classmethod
    def from_module(cls, module: nn.Module) -> "ClassifierHead":
        """Return the current classifier of ``module``."""
        layers = {path: module.get_submodule(path) for path in classifier_paths(module)}
        return cls(layers, getattr(module, "num_classes", None))

    def apply_to(self, module: nn.Module) -> None:
        """Make this the classifier of ``module``."""
        for path, layer in self.layers.items():
            parent, _, name = path.rpartition(".")
            module.get_submodule(parent)._modules[name] = layer
        vars(module).update({} if self.num_classes is None else {"num_classes": self.num_classes})


class AdapterSet:
    """Adapters of the export format ``adapter`` on one shared, bare timm backbone.

    Activating an adapter exchanges modules and copies no tensor, so it takes milliseconds for any backbone, and the
    backbone's own tensors are never changed. Do not activate during a forward pass.
    """

    def __init__(self, module: nn.Module) -> None:
        if not hasattr(module, "reset_classifier") or not classifier_paths(module):
            raise StudioError(
                "no-classifier", "Cannot make an adapter set: the backbone is not a timm model with a classifier."
            )
        self.module = module.eval()
        self._backbone_identity = weights_digest(module)
        self._original_head = ClassifierHead.from_module(module)
        self._entries: dict[str, AdapterEntry] = {}
        self._active: AdapterEntry | None = None

    def __iter__(self) -> Iterator[AdapterEntry]:
        return iter(self._entries.values())

    @property
    def active(self) -> AdapterEntry | None:
        """The active adapter; None if the backbone is bare."""
        return self._active

    def add(self, name: str, folder: Path) -> AdapterEntry:
        """Read the adapter in ``folder``; the active adapter stays active.

        Raises StudioError, with nothing changed, if the name is in use, the adapter belongs to another backbone, or
        it does not name its classes.
        """
        if name in self._entries:
            raise StudioError("name-taken", "The name {name!r} is already in use. Choose another name.", name=name)
        manifest = read_manifest(folder)
        check_same_backbone(manifest, self._backbone_identity, folder)
        labels = _labels(manifest, folder)
        with self._bare_backbone():
            self.module.reset_classifier(len(labels))  # type: ignore[operator]
            head = ClassifierHead.from_module(self.module)
            attached = attach_adapter(self.module, folder, manifest)
            attached.unload()
        self._entries[name] = AdapterEntry(name, labels, attached, head)
        return self._entries[name]

    def entry(self, name: str) -> AdapterEntry:
        """Return the adapter ``name``, active or not; StudioError if there is none."""
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries) or N_("none")
            raise StudioError(
                "unknown-name", "There is no adapter {name!r}. Available adapters: {known}.", name=name, known=known
            ) from None

    def activate(self, name: str) -> AdapterEntry:
        """Activate the adapter ``name``; StudioError if there is none."""
        entry = self.entry(name)
        if entry is not self._active:
            self.deactivate()
            self._activate_entry(entry)
        return entry

    def deactivate(self) -> None:
        """Leave the backbone bare, with its original classifier."""
        if self._active is not None:
            self._active.attached.unload()
            self._active = None
        self._original_head.apply_to(self.module)

    def remove(self, name: str) -> None:
        """Remove an adapter; if it was active, the backbone is bare afterwards. KeyError if there is none."""
        if self._entries.pop(name) is self._active:
            self.deactivate()

    def _activate_entry(self, entry: AdapterEntry) -> None:
        entry.head.apply_to(self.module)
        entry.attached.reload()
        self._active = entry

    @contextmanager
    def _bare_backbone(self) -> Iterator[None]:
        """Make the backbone bare in the context, and activate the same adapter again afterwards."""
        before = self._active
        self.deactivate()
        try:
            yield
        finally:
            self.deactivate()
            if before is not None:
                self._activate_entry(before)


def _labels(manifest: AdapterManifest, folder: Path) -> tuple[str, ...]:
    labels: Any = manifest.metadata.get("labels")
    if not isinstance(labels, list) or not labels:
        raise StudioError(
            "no-labels",
            "Cannot add the adapter in {folder}: it does not name its classes. Export it again.",
            folder=folder,
        )
    return tuple(map(str, labels))
