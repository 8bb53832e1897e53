"""Attach methods to a module, count them, save and load their tensors, merge them, and take them off again."""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from studio.backbones.layer_roles import call_through_flag, classifier_paths, describe_layers
from studio.backbones.loading import tensors_digest
from studio.core.errors import StudioError
from studio.core.layers import Layer
from studio.core.recipe import Attachment
from studio.peft.adapter_scale import not_scalable_reason, set_scale
from studio.peft.contract import AdaptedLayer, AttachmentSite, Method
from studio.peft.param_counts import HEAD, ParameterCounts, count_parameters
from studio.peft.patches import AttributePatch, CounterPatch, ModulePatch, ParameterPatch, Patch
from studio.peft.state_dict_check import check_unique_names, state_dict_mismatch
from studio.peft.target_matching import MatchResult, match_targets


def attach(
    module: nn.Module, attachments: Sequence[Attachment], *, head: bool = True, layers: Sequence[Layer] | None = None
) -> "AdaptedModel":
    """Attach ``attachments`` to ``module`` in place and freeze everything else.

    With ``head`` the classifier trains too (as a copy: the original comes back with :meth:`Attached.detach`).
    ``layers`` saves the time of describing the module where its rows are known. Raises StudioError, with the module as
    it was, where an attachment cannot be used: an unknown method, a wrong field, a pattern that matches nothing.
    """
    if any(isinstance(layer, AdaptedLayer) for layer in module.modules()):
        raise StudioError("This backbone already has attachments; detach them first.")
    check_unique_names([attachment.name for attachment in attachments])
    rows = tuple(layers) if layers is not None else describe_layers(module)
    resolved = [(a, match_targets(a, rows)) for a in attachments if a.enabled]
    for attachment, resolution in resolved:
        if resolution.problem:
            raise StudioError(f"{attachment.name}: {resolution.problem}")
    attached = AdaptedModel(module, rows)
    attached._attach_all(resolved, head)
    return attached


class AdaptedModel:
    """A backbone with attachments.

    The adapter is their tensors and the head's; the backbone's own are never modified.
    """

    def __init__(self, module: nn.Module, layers: tuple[Layer, ...]) -> None:
        self.module = module
        self.layers = layers
        self._patches: list[Patch] = []
        self._trained_copies: dict[int, nn.Parameter] = {}
        self._matches: dict[str, MatchResult] = {}
        self._enabled: dict[str, bool] = {}
        self._skipped_blocks: dict[str, int] = {}
        self._strengths: dict[str, float] = {}
        self._blocks = {layer.path: layer.block for layer in layers}
        self._requires_grad_flags = [(p, p.requires_grad) for p in module.parameters()]
        self._training_modes = [(m, m.training) for m in module.modules()]

    def _attach_all(self, resolved: list[tuple[Attachment, MatchResult]], head: bool) -> None:
        modules = dict(self.module.named_modules(remove_duplicate=False))
        bare = functools.partial(tensors_digest, self.module.state_dict(keep_vars=True), classifier_paths(self.module))
        for parameter, _ in self._requires_grad_flags:
            parameter.requires_grad_(False)
        self.module.eval()  # now, as what an adapted layer holds keeps the mode that it has
        try:
            if head:
                self._train_head(modules)
            for attachment, resolution in resolved:
                self._attach_one(attachment, resolution, modules, bare)
        except BaseException:
            self.detach()
            raise
        self.train(False)

    def _train_head(self, modules: dict[str, nn.Module]) -> None:
        self._enabled[HEAD] = True
        for path in classifier_paths(self.module):
            for inner, layer in modules[path].named_modules(prefix=path):
                for name in list(layer._parameters):
                    self._train_parameter(HEAD, modules, inner, name)

    def _attach_one(
        self, attachment: Attachment, match_result: MatchResult, modules: dict[str, nn.Module], bare: Callable[[], str]
    ) -> None:
        assert match_result.method is not None
        assert match_result.config is not None
        name = attachment.name
        self._matches[name] = match_result
        self._enabled[name] = True
        shared: dict[str, Any] = {}
        for layer in match_result.matched:
            site = AttachmentSite(
                layer=layer,
                module=modules[layer.path],
                config=match_result.config,
                slices=attachment.slices,
                model=self.module,
                layers=self.layers,
                modules=modules,
                shared=shared,
                skip_first_blocks=functools.partial(self.skip_first_blocks, name),
                backbone_identity=bare,
                _replace=lambda path, make, innermost: self._replace(name, modules, path, make, innermost),
                _train_parameter=lambda path, parameter: self._train_parameter(name, modules, path, parameter),
                _set_attribute=lambda path, attribute, value: self._set_attribute(
                    name, modules[path], path, attribute, value
                ),
                _add_to_count=lambda path, attribute, n: self._add_to_count(name, modules[path], path, attribute, n),
            )
            before = len(self._patches)
            match_result.method.attach(site)
            for change in self._patches[before:]:
                change.site = layer.path

    def _replace(
        self, attachment: str, modules: dict[str, nn.Module], path: str, make: Any, innermost: bool = False
    ) -> None:
        if not path:
            raise StudioError(
                "Nothing can stand in the place of the backbone as a whole; put it into an nn.Sequential first."
            )
        parent_path, _, name = path.rpartition(".")
        parent = modules[parent_path]
        flag = call_through_flag(parent, name)
        if flag:
            self._set_attribute(attachment, parent, parent_path, flag, True)
        while innermost and isinstance(above := parent._modules[name], AdaptedLayer):
            parent, name = above, "base_layer"
        current = parent._modules[name]
        assert current is not None
        adapted = make(current)
        parent._modules[name] = adapted
        self._patches.append(ModulePatch(attachment, path, parent, name, adapted))

    def _train_parameter(self, attachment: str, modules: dict[str, nn.Module], path: str, name: str) -> None:
        owner = modules[path]
        original = owner._parameters[name]
        if original is None or original.requires_grad:
            return
        trained = self._trained_copies.get(id(original))  # tied parameters stay tied
        if trained is None:
            trained = self._trained_copies[id(original)] = nn.Parameter(original.detach().clone())
        owner._parameters[name] = trained
        self._patches.append(ParameterPatch(attachment, path, owner, name, original, trained))

    def _set_attribute(self, attachment: str, owner: nn.Module, path: str, name: str, value: Any) -> None:
        change = AttributePatch(attachment, path, owner, name, getattr(owner, name), value)
        change.set_enabled(True)
        self._patches.append(change)

    def _add_to_count(self, attachment: str, owner: nn.Module, path: str, name: str, amount: int) -> None:
        change = CounterPatch(attachment, path, owner, name, amount)
        change.set_enabled(True)
        self._patches.append(change)

    @property
    def patches(self) -> tuple[Patch, ...]:
        """Everything that is attached, in the order in which it was."""
        return tuple(self._patches)

    def is_enabled(self, attachment: str) -> bool:
        """Whether one attachment takes part; the head is called "head"."""
        return self._enabled.get(attachment, False)

    def method(self, attachment: str) -> Method[Any] | None:
        """The method of an attachment; None for the head."""
        resolution = self._matches.get(attachment)
        return resolution.method if resolution else None

    def named_tensors(self) -> Iterator[tuple[str, str, str, Tensor]]:
        """Each tensor of the adapter once, as (attachment, layer path, name, tensor).

        Shared ones at their first site.
        """
        seen: set[int] = set()
        for change in self._patches:
            for name, tensor in change.tensors().items():
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield change.attachment, change.path, name, tensor

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trainable parameters under the names of :meth:`state_dict`."""
        for attachment, path, name, tensor in self.named_tensors():
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                yield f"{attachment}/{path}/{name}", tensor

    def parameters(self) -> Iterator[nn.Parameter]:
        """The trainable parameters."""
        return (parameter for _, parameter in self.named_parameters())

    def unused_parameters(self) -> tuple[str, ...]:
        """Names of trainable tensors that the last backward pass did not reach: whatever holds them is never called.

        Call it after a backward pass and before gradients are cleared. What sits a step out by design is not named.
        """
        idle = {
            id(t)
            for c in self._patches
            if not self._is_active(c) or (isinstance(c, ModulePatch) and c.adapted_layer.may_skip_steps)
            for t in c.tensors().values()
        }
        return tuple(name for name, p in self.named_parameters() if p.grad is None and id(p) not in idle)

    def check_all_used(self) -> None:
        """Raise StudioError naming the layers of :meth:`unused`, so that nothing is ever silently dead."""
        unused = self.unused_parameters()
        if unused:
            attachment, first, _ = unused[0].split("/")
            others = len({name.split("/")[1] for name in unused}) - 1
            where = f"{first or 'the backbone'} and {others} other layers" if others else first or "the backbone"
            raise StudioError(
                f"{attachment} is never used in {where}: the backbone does not call it there. Choose other layers."
            )

    def lr_scales(self) -> dict[str, float]:
        """Factor on the learning rate for each name of :meth:`named_parameters` (LoRA+ trains B faster than A)."""
        return {
            f"{attachment}/{path}/{name}": self._lr_scale(attachment, name)
            for attachment, path, name, tensor in self.named_tensors()
            if tensor.requires_grad
        }

    def _lr_scale(self, attachment: str, tensor: str) -> float:
        resolution = self._matches.get(attachment)
        return resolution.method.lr_scale(tensor, resolution.config) if resolution and resolution.method else 1.0

    def state_dict(self) -> dict[str, Tensor]:
        """The adapter.

        Every tensor of the attachments and of the head, as ``attachment/layer path/name``, not copied.
        """
        return {f"{a}/{path}/{name}": tensor.detach() for a, path, name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy an adapter in; StudioError, with nothing changed, where names, shapes or values do not fit."""
        own = self.state_dict()
        problem = state_dict_mismatch(own, state)
        if problem:
            raise StudioError(problem)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def parameter_counts(self) -> ParameterCounts:
        """Count what is attached; on the meta device just the same."""
        return count_parameters(
            self.layers[0].parameters, [p for p, _ in self._requires_grad_flags], self._matches, self._patches
        )

    def train(self, mode: bool = True) -> "AdaptedModel":
        """Put adapters and head in training mode.

        The frozen backbone stays in evaluation mode, so BatchNorm stays frozen.
        """
        self.module.eval()
        for change in self._patches:
            if isinstance(change, ModulePatch):
                change.adapted_layer.train(mode)
        return self

    def eval(self) -> "AdaptedModel":
        """Put everything in evaluation mode."""
        return self.train(False)

    @property
    def has_head(self) -> bool:
        """Whether the classifier trains with the attachments."""
        return HEAD in self._enabled

    @property
    def enabled(self) -> bool:
        """Whether any attachment takes part; setting it switches all of them, the head included."""
        return any(self._enabled.values())

    @enabled.setter
    def enabled(self, on: bool) -> None:
        for name in self._enabled:
            self.set_enabled(name, on)

    def set_enabled(self, attachment: str, enabled: bool) -> None:
        """Let one attachment take part or not; the head is called "head"."""
        if self._enabled[attachment] != enabled:
            self._enabled[attachment] = enabled
            self._update_enabled()

    def not_scalable_reason(self, attachment: str) -> str:
        """Why an attachment cannot take part by halves, in one sentence; empty where it can."""
        return not_scalable_reason(self._patches, attachment)

    def strength(self, attachment: str) -> float:
        """How strongly an attachment takes part: 0 not at all, 1 as it was trained, 2 twice as much."""
        return self._strengths.get(attachment, 1.0)

    def set_strength(self, attachment: str, strength: float) -> None:
        """Let an attachment take part by ``strength``, from 0 to 2; StudioError where it cannot."""
        set_scale(self._patches, attachment, strength)
        self._strengths[attachment] = strength
        self._update_enabled()

    def skip_first_blocks(self, attachment: str, blocks: int) -> None:
        """Let everything in the first ``blocks`` blocks rest, on behalf of ``attachment``; 0 wakes them.

        Whatever is attached to layers in them; what is attached to the backbone as a whole, and the head, go on.
        The deepest wish counts.
        """
        before = self._num_skipped_blocks
        self._skipped_blocks[attachment] = blocks
        if self._num_skipped_blocks != before:
            self._update_enabled()

    def _update_enabled(self) -> None:
        """Switch everything off that rests, last things first, then on what takes part.

        In this order, as two attachments may want the same attribute, and the one that stays on has the last word.
        """
        for change in reversed(self._patches):
            if not self._is_active(change):
                change.set_enabled(False)
        for change in self._patches:
            if self._is_active(change):
                change.set_enabled(True)

    @property
    def _num_skipped_blocks(self) -> int:
        return max(self._skipped_blocks.values(), default=0)

    def _is_active(self, change: Patch) -> bool:
        block = self._blocks.get(change.site)
        return self._enabled[change.attachment] and (block is None or block >= self._num_skipped_blocks)

    def finalize(self, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """Drop what only training needs, such as the network behind a prefix, for good.

        Returns ``attachments`` as they describe what is left. Trained further, it would be another training.
        """
        for change in self._patches:
            if isinstance(change, ModulePatch):
                change.adapted_layer.finalize()
        for name, resolution in self._matches.items():
            assert resolution.method is not None
            self._matches[name] = replace(resolution, config=resolution.method.finalized_config(resolution.config))
        return tuple(self._finalized(attachment) for attachment in attachments)

    def _finalized(self, attachment: Attachment) -> Attachment:
        resolution = self._matches.get(attachment.name)
        config = resolution.config if resolution else None
        return (
            attachment if config is None else attachment.model_copy(update={"config": config.model_dump(mode="json")})
        )

    def merge(self) -> nn.Module:
        """A plain copy of the backbone with everything folded in, in evaluation mode.

        By their strengths, and without what is switched off. Raises StudioError naming the methods that cannot be
        folded into weights.
        """
        parts = [r.method for name, r in self._matches.items() if r.method and self._enabled[name]]
        refusals = [method.not_mergeable_reason for method in parts if method.not_mergeable_reason]
        if refusals:
            raise StudioError(refusals[0])
        twin = copy.deepcopy(self).eval()
        for change in twin._patches:
            change.merge()
        for parameter in twin.module.parameters():
            parameter.requires_grad_(True)
        return twin.module.eval()

    def unload(self) -> None:
        """Take everything off for a while, to be put back by :meth:`place`; the backbone stays frozen."""
        for change in reversed(self._patches):
            change.undo()

    def reload(self) -> None:
        """Put back what :meth:`lift` took off, onto the same backbone with nothing else attached."""
        for change in self._patches:
            change.redo()
        self._update_enabled()

    def detach(self) -> nn.Module:
        """Take everything off and return the module as it was: its tree, its tensors, their flags and its modes."""
        self.unload()
        self._patches.clear()
        self._trained_copies.clear()
        for parameter, flag in self._requires_grad_flags:
            parameter.requires_grad_(flag)
        for layer, mode in self._training_modes:
            layer.training = mode
        return self.module
