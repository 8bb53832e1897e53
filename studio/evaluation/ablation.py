"""Ablation of a trained run, and the size and rank of each weight change."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from studio.core.run import Run
from studio.evaluation import restore
from studio.evaluation.evaluate import evaluate_split
from studio.peft import AdaptedModel
from studio.peft.param_counts import HEAD
from studio.peft.patches import ModulePatch, ParameterPatch, Patch


@dataclass(frozen=True, slots=True)
class Ablation:
    """Accuracy without one attachment, in [0, 1].

    ``accuracy_per_1k_params`` is the accuracy drop per 1,000 of its parameters, None for an attachment without any.
    """

    name: str
    method: str
    parameters: int
    accuracy_without: float
    accuracy_drop: float
    accuracy_per_1k_params: float | None


@dataclass(frozen=True, slots=True)
class WeightChange:
    """Change of one tensor of the backbone or the head by training.

    ``norm`` is the Frobenius norm, ``relative_norm`` its ratio to the tensor's own (None if that is zero).
    ``effective_rank`` is the exponential of the entropy of the singular values (Roy and Vetterli 2007), None for
    vectors.
    """

    attachment: str
    layer: str
    tensor: str
    norm: float
    relative_norm: float | None
    effective_rank: float | None


@dataclass(frozen=True, slots=True)
class AdapterAnalysis:
    """Accuracy with all attachments and without each, and all weight changes.

    Methods that do not merge into weights (adapters, prompts) have no weight changes.
    """

    split: str
    images: int
    accuracy: float
    ablations: tuple[Ablation, ...]
    changes: tuple[WeightChange, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def analyze_run(
    run: Run, split: str = "validation", on_progress: Callable[[int, int], object] = lambda done, total: None
) -> AdapterAnalysis:
    """Evaluate a run's best adapter on a split with each attachment disabled in turn.

    ``on_progress`` receives the number of attachments evaluated so far and the number of all.
    """
    trained = restore.load_trained(run)
    changes = tuple(weight_changes(trained.model))
    full = evaluate_split(run, trained, split)
    ablations: list[Ablation] = []
    attachments = trained.model.parameter_counts().attachments
    for counts in attachments:
        on_progress(len(ablations), len(attachments))
        trained.model.set_enabled(counts.name, enabled=False)
        accuracy = evaluate_split(run, trained, split).accuracy
        trained.model.set_enabled(counts.name, enabled=True)
        drop = full.accuracy - accuracy
        per_1k = 1000 * drop / counts.parameters if counts.parameters else None
        ablations.append(Ablation(counts.name, counts.method, counts.parameters, accuracy, drop, per_1k))
    return AdapterAnalysis(split, full.images, full.accuracy, tuple(ablations), changes)


def weight_changes(model: AdaptedModel) -> Iterator[WeightChange]:
    """Yield the nonzero change of each tensor by each attachment and by the head."""
    for patch in model.patches:
        for name, before, after in _tensor_pairs(model, patch):
            if not torch.equal(before, after):
                yield _weight_change(patch, name, before.detach().double().cpu(), after.detach().double().cpu())


def _tensor_pairs(model: AdaptedModel, patch: Patch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield tensors before and after training.

    They are merged in float64, because rounding looks like a change of full rank.
    """
    method = model.method(patch.attachment)
    if isinstance(patch, ParameterPatch) and (patch.attachment == HEAD or method):
        yield patch.name, patch.original, patch.trained
    elif isinstance(patch, ModulePatch) and method and not method.not_mergeable_reason:
        adapted = copy.deepcopy(patch.adapted_layer).double()
        before = dict(adapted.unwrapped.named_parameters())
        after = dict(adapted.merged_module(copy.deepcopy(adapted.unwrapped)).named_parameters())
        yield from ((n, t, after[n]) for n, t in before.items() if n in after and after[n].shape == t.shape)


def _weight_change(patch: Patch, name: str, before: Tensor, after: Tensor) -> WeightChange:
    delta, size = after - before, float(before.norm())
    norm = float(delta.norm())
    rank = effective_rank(delta.flatten(1)) if delta.dim() > 1 else None
    return WeightChange(patch.attachment, patch.path, name, norm, norm / size if size else None, rank)


def effective_rank(matrix: Tensor) -> float:
    """Return the exponential of the entropy of a nonzero matrix's singular values.

    It lies between 1 and the rank.
    """
    values = torch.linalg.svdvals(matrix)
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
