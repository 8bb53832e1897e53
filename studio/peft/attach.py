"""Attach methods to a module; count, save, load, merge and detach what was attached."""

import copy
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
from studio.peft.unused_layers import unused_layer_error


def attach(
    module: nn.Module, attachments: Sequence[Attachment], *, head: bool = True, layers: Sequence[Layer] | None = None
) -> "AdaptedModel":
    """Attach ``attachments`` to ``module`` in place and freeze everything else.

    With ``head`` the classifier trains too (as a copy: :meth:`AdaptedModel.detach` restores the original). ``layers``
    are the rows of the module, if they are known already. Raises StudioError and leaves the module as it was if an
    attachment cannot be used: an unknown method, a wrong field, a pattern that matches nothing.
    """
    if any(isinstance(layer, AdaptedLayer) for layer in module.modules()):
        raise StudioError(
            "already-attached", "Cannot attach: this backbone already has attachments. Detach them first."
        )
    check_unique_names([attachment.name for attachment in attachments])
    rows = tuple(layers) if layers is not None else describe_layers(module)
    resolved = [(a, match_targets(a, rows)) for a in attachments if a.enabled]
    for attachment, match_result in resolved:
        if match_result.problem:
            raise StudioError(
                "unusable-attachment",
                "{attachment}: {problem}",
                attachment=attachment.name,
                problem=match_result.problem,
            )
    adapted = AdaptedModel(module, rows)
    adapted._attach_all(resolved, head)
    return adapted


class AdaptedModel:
    """A backbone with attachments.

    The adapter consists of their tensors and the head's; the backbone's own tensors are never modified.
    """

    def __init__(self, module: nn.Module, layers: tuple[Layer, ...]) -> None:
        self.module = module
        self.layers = layers
        self.backbone_modules: dict[str, nn.Module] = dict(module.named_modules(remove_duplicate=False))
        self._patches: list[Patch] = []
        self._bare_state: dict[str, Tensor] = {}
        self._trained_copies: dict[int, nn.Parameter] = {}
        self._matches: dict[str, MatchResult] = {}
        self._enabled: dict[str, bool] = {}
        self._skipped_blocks: dict[str, int] = {}
        self._strengths: dict[str, float] = {}
        self._blocks = {layer.path: layer.block for layer in layers}
        self._requires_grad_flags = [(p, p.requires_grad) for p in module.parameters()]
        self._training_modes = [(m, m.training) for m in module.modules()]

    def _attach_all(self, resolved: list[tuple[Attachment, MatchResult]], head: bool) -> None:
        self._bare_state = dict(self.module.state_dict(keep_vars=True))
        for parameter, _ in self._requires_grad_flags:
            parameter.requires_grad_(False)
        self.module.eval()  # first, because layers below an adapter keep their mode
        try:
            if head:
                self._train_head()
            for attachment, match_result in resolved:
                self._attach_one(attachment, match_result)
        except BaseException:
            self.detach()
            raise
        finally:
            self._bare_state = {}
        self.train(False)

    def _train_head(self) -> None:
        self._enabled[HEAD] = True
        for path in classifier_paths(self.module):
            for inner, layer in self.backbone_modules[path].named_modules(prefix=path):
                for name in list(layer._parameters):
                    self.train_parameter(HEAD, inner, name)

    def _attach_one(self, attachment: Attachment, match_result: MatchResult) -> None:
        assert match_result.method is not None
        assert match_result.config is not None
        self._matches[attachment.name] = match_result
        self._enabled[attachment.name] = True
        shared: dict[str, Any] = {}
        for layer in match_result.matched:
            site = AttachmentSite(
                attachment=attachment.name,
                layer=layer,
                module=self.backbone_modules[layer.path],
                config=match_result.config,
                slices=attachment.slices,
                shared=shared,
                adapted_model=self,
            )
            before = len(self._patches)
            match_result.method.attach(site)
            for patch in self._patches[before:]:
                patch.site = layer.path

    def replace_module(
        self, attachment: str, path: str, make: Callable[[nn.Module], AdaptedLayer], innermost: bool = False
    ) -> None:
        """Put ``make(current module)`` in the place of the layer at ``path``; ``innermost`` below other adapters."""
        if not path:
            raise StudioError(
                "unsupported-layer",
                "Cannot replace the backbone as a whole: it has no parent module. Put it into an nn.Sequential first.",
            )
        parent_path, _, name = path.rpartition(".")
        parent = self.backbone_modules[parent_path]
        flag = call_through_flag(parent, name)
        if flag:
            self._apply(AttributePatch(attachment, parent_path, parent, flag, getattr(parent, flag), True))
        while innermost and isinstance(above := parent._modules[name], AdaptedLayer):
            parent, name = above, "base_layer"
        current = parent._modules[name]
        assert current is not None
        adapted = make(current)
        parent._modules[name] = adapted
        self._patches.append(ModulePatch(attachment, path, parent, name, adapted))

    def train_parameter(self, attachment: str, path: str, name: str) -> None:
        """Put a trainable copy in the place of a parameter of the layer at ``path``; tied parameters stay tied."""
        owner = self.backbone_modules[path]
        original = owner._parameters[name]
        if original is None or original.requires_grad:
            return
        trained = self._trained_copies.get(id(original))
        if trained is None:
            trained = self._trained_copies[id(original)] = nn.Parameter(original.detach().clone())
        owner._parameters[name] = trained
        self._patches.append(ParameterPatch(attachment, path, owner, name, original, trained))

    def add_to_count(self, attachment: str, path: str, name: str, amount: int) -> None:
        """Add ``amount`` to an integer attribute of the layer at ``path`` while the attachment is enabled."""
        self._apply(CounterPatch(attachment, path, self.backbone_modules[path], name, amount))

    def _apply(self, patch: AttributePatch | CounterPatch) -> None:
        patch.set_enabled(True)
        self._patches.append(patch)

    def backbone_identity(self) -> str:
        """Return the digest of the bare backbone; only while attaching."""
        return tensors_digest(self._bare_state, classifier_paths(self.module))

    @property
    def patches(self) -> tuple[Patch, ...]:
        """All changes to the backbone, in the order of attaching."""
        return tuple(self._patches)

    def is_enabled(self, attachment: str) -> bool:
        """Return whether one attachment is enabled; the head is called "head"."""
        return self._enabled.get(attachment, False)

    def method(self, attachment: str) -> Method[Any] | None:
        """Return the method of an attachment; None for the head."""
        match_result = self._matches.get(attachment)
        return match_result.method if match_result else None

    def named_tensors(self) -> Iterator[tuple[str, str, str, Tensor]]:
        """Yield each tensor of the adapter once, as (attachment, layer path, name, tensor).

        A shared tensor comes at its first site.
        """
        seen: set[int] = set()
        for patch in self._patches:
            for name, tensor in patch.tensors().items():
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield patch.attachment, patch.path, name, tensor

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the trainable parameters under the names of :meth:`state_dict`."""
        for attachment, path, name, tensor in self.named_tensors():
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                yield f"{attachment}/{path}/{name}", tensor

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the trainable parameters."""
        return (parameter for _, parameter in self.named_parameters())

    def unused_parameters(self) -> tuple[str, ...]:
        """Return the names of trainable tensors that the last backward pass did not reach.

        Call it after a backward pass and before gradients are cleared. Layers that skip steps by design are left out.
        """
        skipped = {
            id(tensor)
            for patch in self._patches
            if not self._is_active(patch) or (isinstance(patch, ModulePatch) and patch.adapted_layer.may_skip_steps)
            for tensor in patch.tensors().values()
        }
        return tuple(name for name, p in self.named_parameters() if p.grad is None and id(p) not in skipped)

    def check_all_used(self) -> None:
        """Raise StudioError if there are :meth:`unused_parameters`: the layers that hold them are never called."""
        unused = self.unused_parameters()
        if unused:
            raise unused_layer_error(unused)

    def lr_scales(self) -> dict[str, float]:
        """Return the learning rate factor of each of :meth:`named_parameters` (LoRA+ trains B faster than A)."""
        return {
            f"{attachment}/{path}/{name}": self._lr_scale(attachment, name)
            for attachment, path, name, tensor in self.named_tensors()
            if tensor.requires_grad
        }

    def _lr_scale(self, attachment: str, tensor: str) -> float:
        match_result = self._matches.get(attachment)
        if match_result is None or match_result.method is None:
            return 1.0
        return match_result.method.lr_scale(tensor, match_result.config)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the adapter: every tensor of the attachments and the head, not copied.

        The names are ``attachment/layer path/name``.
        """
        return {f"{a}/{path}/{name}": tensor.detach() for a, path, name, tensor in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy an adapter in; StudioError, with nothing changed, if names, shapes or values do not fit."""
        own = self.state_dict()
        problem = state_dict_mismatch(own, state)
        if problem:
            raise StudioError("adapter-mismatch", problem)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def parameter_counts(self) -> ParameterCounts:
        """Count the parameters; works on the meta device too."""
        return count_parameters(
            self.layers[0].parameters, [p for p, _ in self._requires_grad_flags], self._matches, self._patches
        )

    def train(self, mode: bool = True) -> "AdaptedModel":
        """Put adapters and head in training mode.

        The frozen backbone stays in evaluation mode, so BatchNorm statistics stay frozen.
        """
        self.module.eval()
        for patch in self._patches:
            if isinstance(patch, ModulePatch):
                patch.adapted_layer.train(mode)
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
        """Whether any attachment is enabled; setting it enables or disables all of them, the head included."""
        return any(self._enabled.values())

    @enabled.setter
    def enabled(self, on: bool) -> None:
        for name in self._enabled:
            self.set_enabled(name, on)

    def set_enabled(self, attachment: str, enabled: bool) -> None:
        """Enable or disable one attachment; the head is called "head"."""
        if self._enabled[attachment] != enabled:
            self._enabled[attachment] = enabled
            self._update_enabled()

    def not_scalable_reason(self, attachment: str) -> str:
        """Return why an attachment has no strength between off and on, as one sentence; empty if it has one."""
        return not_scalable_reason(self._patches, attachment)

    def strength(self, attachment: str) -> float:
        """Return the strength of an attachment: 0 is off, 1 as trained, 2 twice the change."""
        return self._strengths.get(attachment, 1.0)

    def set_strength(self, attachment: str, strength: float) -> None:
        """Set the strength of an attachment, from 0 to 2; StudioError if it has none."""
        set_scale(self._patches, attachment, strength)
        self._strengths[attachment] = strength
        self._update_enabled()

    def skip_first_blocks(self, attachment: str, blocks: int) -> None:
        """Disable everything in the first ``blocks`` blocks, on behalf of ``attachment``; 0 enables it again.

        Attachments to the backbone as a whole and the head are not affected. The largest request counts.
        """
        before = self._num_skipped_blocks
        self._skipped_blocks[attachment] = blocks
        if self._num_skipped_blocks != before:
            self._update_enabled()

    def _update_enabled(self) -> None:
        """Disable what is inactive, in reverse order, then enable what is active.

        The order matters: two attachments may set the same attribute, and the one that stays enabled must win.
        """
        for patch in reversed(self._patches):
            if not self._is_active(patch):
                patch.set_enabled(False)
        for patch in self._patches:
            if self._is_active(patch):
                patch.set_enabled(True)

    @property
    def _num_skipped_blocks(self) -> int:
        return max(self._skipped_blocks.values(), default=0)

    def _is_active(self, patch: Patch) -> bool:
        block = self._blocks.get(patch.site)
        return self._enabled[patch.attachment] and (block is None or block >= self._num_skipped_blocks)

    def finalize(self, attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
        """Drop tensors that only training needs, such as the network behind a prefix, for good.

        Returns ``attachments`` as they describe the result. Training it further would be a different training.
        """
        for patch in self._patches:
            if isinstance(patch, ModulePatch):
                patch.adapted_layer.finalize()
        for name, match_result in self._matches.items():
            assert match_result.method is not None
            config = match_result.method.finalized_config(match_result.config)
            self._matches[name] = replace(match_result, config=config)
        return tuple(self._finalized(attachment) for attachment in attachments)

    def _finalized(self, attachment: Attachment) -> Attachment:
        match_result = self._matches.get(attachment.name)
        if match_result is None or match_result.config is None:
            return attachment
        return attachment.model_copy(update={"config": match_result.config.model_dump(mode="json")})

    def merge(self) -> nn.Module:
        """Return a plain copy of the backbone with everything merged, in evaluation mode.

        Strengths count, and disabled attachments are left out. StudioError if a method cannot be merged into weights.
        """
        methods = [match.method for name, match in self._matches.items() if match.method and self._enabled[name]]
        for method in methods:
            if method.not_mergeable_reason:
                raise StudioError("not-mergeable", method.not_mergeable_reason)
        twin = copy.deepcopy(self).eval()
        for patch in twin._patches:
            patch.merge()
        for parameter in twin.module.parameters():
            parameter.requires_grad_(True)
        return twin.module.eval()

    def unload(self) -> None:
        """Take all adapters out of the backbone until :meth:`reload`; the backbone stays frozen."""
        for patch in reversed(self._patches):
            patch.undo()

    def reload(self) -> None:
        """Put back what :meth:`unload` took out, into the same backbone with nothing else attached."""
        for patch in self._patches:
            patch.redo()
        self._update_enabled()

    def detach(self) -> nn.Module:
        """Remove everything and return the module as it was: its tree, its tensors, their flags and its modes."""
        self.unload()
        self._patches.clear()
        self._trained_copies.clear()
        for parameter, flag in self._requires_grad_flags:
            parameter.requires_grad_(flag)
        for layer, mode in self._training_modes:
            layer.training = mode
        return self.module
