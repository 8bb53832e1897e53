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
from studio.peft.adapter_file import AdapterDescription, attach_adapter, read_description, require_backbone
from studio.peft.attach import Attached


@dataclass(frozen=True, slots=True)
class Member:
    """One adapter of a pack. ``labels`` are its classes in the order of its head's outputs."""

    name: str
    labels: tuple[str, ...]
    attached: Attached
    head: "Head"


@dataclass(frozen=True, slots=True)
class Head:
    """The layers of a classifier by path, and the count of classes that timm keeps beside them."""

    layers: Mapping[str, nn.Module]
    classes: int | None

    @classmethod
    def of(cls, module: nn.Module) -> "Head":
        """The classifier that ``module`` has now."""
        layers = {path: module.get_submodule(path) for path in classifier_paths(module)}
        return cls(layers, getattr(module, "num_classes", None))

    def put_on(self, module: nn.Module) -> None:
        """Make it the classifier of ``module``."""
        for path, layer in self.layers.items():
            parent, _, name = path.rpartition(".")
            module.get_submodule(parent)._modules[name] = layer
        vars(module).update({} if self.classes is None else {"num_classes": self.classes})


class Pack:
    """Adapters that the export ``adapter`` wrote, on a bare timm backbone that they share.

    Activating another exchanges what stands in the tree and copies no tensor, so it takes milliseconds however large
    the backbone is, and its own tensors are never touched. Do not activate while the backbone computes.
    """

    def __init__(self, module: nn.Module) -> None:
        if not hasattr(module, "reset_classifier") or not classifier_paths(module):
            raise StudioError("A pack needs a timm backbone with a classifier, which each adapter replaces by its own.")
        self.module = module.eval()
        self._identity = weights_digest(module)
        self._own_head = Head.of(module)
        self._flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
        self._members: dict[str, Member] = {}
        self._active: Member | None = None

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    @property
    def active(self) -> Member | None:
        """The adapter that ``module`` answers with; None where the backbone is bare."""
        return self._active

    def add(self, name: str, folder: Path) -> Member:
        """Read the adapter in ``folder``; which one is active stays as it is.

        Raises StudioError, with everything as it was, where the name is taken, the adapter was made for another
        backbone, or it has no classes of its own.
        """
        if name in self._members:
            raise StudioError(f"The pack already has an adapter called {name!r}; choose another name.")
        description = read_description(folder)
        require_backbone(description, self._identity, folder)
        labels = _labels(description, folder)
        with self._bare():
            self.module.reset_classifier(len(labels))  # type: ignore[operator]
            head = Head.of(self.module)
            attached = attach_adapter(self.module, folder, description)
            attached.lift()
        self._members[name] = Member(name, labels, attached, head)
        return self._members[name]

    def member(self, name: str) -> Member:
        """The adapter called ``name``, active or not; StudioError where there is none."""
        try:
            return self._members[name]
        except KeyError:
            known = ", ".join(self._members) or "none"
            raise StudioError(f"The pack has no adapter called {name!r}; there are {known}.") from None

    def activate(self, name: str) -> Member:
        """Answer with the adapter called ``name`` from now on; StudioError where there is none."""
        member = self.member(name)
        if member is not self._active:
            self.deactivate()
            self._place(member)
        return member

    def deactivate(self) -> None:
        """Leave the backbone bare, with the classifier that it came with."""
        if self._active is not None:
            self._active.attached.lift()
            self._active = None
        self._own_head.put_on(self.module)

    def remove(self, name: str) -> None:
        """Forget an adapter; where it was active, the backbone is bare afterwards. KeyError where there is none."""
        if self._members.pop(name) is self._active:
            self.deactivate()

    def release(self) -> nn.Module:
        """Forget all adapters and return the backbone as it came."""
        self.deactivate()
        self._members.clear()
        for parameter, flag in self._flags:
            parameter.requires_grad_(flag)
        return self.module

    def _place(self, member: Member) -> None:
        member.head.put_on(self.module)
        member.attached.place()
        self._active = member

    @contextmanager
    def _bare(self) -> Iterator[None]:
        """The bare backbone for a while; whatever happens, what was active is so again afterwards."""
        before = self._active
        self.deactivate()
        try:
            yield
        finally:
            self.deactivate()
            if before is not None:
                self._place(before)


def _labels(description: AdapterDescription, folder: Path) -> tuple[str, ...]:
    labels: Any = description.metadata.get("labels")
    if not isinstance(labels, list) or not labels:
        raise StudioError(f"The adapter in {folder} does not name its classes, so it cannot be in a pack.")
    return tuple(map(str, labels))
