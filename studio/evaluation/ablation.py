"""X-ray of a trained run: what each attachment is worth, and how large and of what rank each change of a weight is."""

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
    """One attachment and the accuracy without it; ``accuracy_per_1k_params`` is what 1,000 of its parameters are worth."""

    name: str
    method: str
    parameters: int
    accuracy_without: float
    accuracy_drop: float
    accuracy_per_1k_params: float | None


@dataclass(frozen=True, slots=True)
class WeightChange:
    """What training changed in one tensor of the backbone or the head.

    ``norm`` is Frobenius', ``relative_norm`` in units of the tensor's own (None where that is zero). ``effective_rank``
    is the exponential of the entropy of the singular values (Roy and Vetterli 2007), None for vectors.
    """

    attachment: str
    layer: str
    tensor: str
    norm: float
    relative_norm: float | None
    effective_rank: float | None


@dataclass(frozen=True, slots=True)
class AdapterAnalysis:
    """Accuracy with everything, what it is without each attachment, and every change of a weight.

    Methods that do not merge into weights (adapters, prompts) have no changes to show.
    """

    split: str
    images: int
    accuracy: float
    ablations: tuple[Ablation, ...]
    changes: tuple[WeightChange, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def analyze_run(
    run: Run, split: str = "validation", on_progress: Callable[[int, int], object] = lambda done, total: None
) -> AdapterAnalysis:
    """Measure a run's best adapter on a split with each attachment switched off in turn; reads the run only.

    ``on_progress`` hears of how many attachments, of all, have been measured.
    """
    restored = restore.load_trained(run)
    changes = tuple(weight_changes(restored.model))
    whole = evaluate_split(run, restored, split)
    ablations: list[Ablation] = []
    attachments = restored.model.parameter_counts().attachments
    for counted in attachments:
        on_progress(len(ablations), len(attachments))
        restored.model.set_enabled(counted.name, enabled=False)
        accuracy = evaluate_split(run, restored, split).accuracy
        restored.model.set_enabled(counted.name, enabled=True)
        lost = whole.accuracy - accuracy
        worth = 1000 * lost / counted.parameters if counted.parameters else None
        ablations.append(Ablation(counted.name, counted.method, counted.parameters, accuracy, lost, worth))
    return AdapterAnalysis(split, whole.images, whole.accuracy, tuple(ablations), changes)


def weight_changes(model: AdaptedModel) -> Iterator[WeightChange]:
    """The change of each tensor by each attachment on its own, and by the head's training; what stayed is left out."""
    for change in model.patches:
        for name, before, after in _tensor_pairs(model, change):
            if not torch.equal(before, after):
                yield _weight_change(change, name, before.detach().double().cpu(), after.detach().double().cpu())


def _tensor_pairs(model: AdaptedModel, change: Patch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Tensors before and after; folded in double precision, or rounding would look like a change of full rank."""
    method = model.method(change.attachment)
    if isinstance(change, ParameterPatch) and (change.attachment == HEAD or method):
        yield change.name, change.original, change.trained
    elif isinstance(change, ModulePatch) and method and not method.not_mergeable_reason:
        adapted = copy.deepcopy(change.adapted_layer).double()
        before = dict(adapted.unwrapped.named_parameters())
        after = dict(adapted.merged_module(copy.deepcopy(adapted.unwrapped)).named_parameters())
        yield from ((n, t, after[n]) for n, t in before.items() if n in after and after[n].shape == t.shape)


def _weight_change(change: Patch, name: str, before: Tensor, after: Tensor) -> WeightChange:
    delta, size = after - before, float(before.norm())
    norm = float(delta.norm())
    rank = effective_rank(delta.flatten(1)) if delta.dim() > 1 else None
    return WeightChange(change.attachment, change.path, name, norm, norm / size if size else None, rank)


def effective_rank(matrix: Tensor) -> float:
    """exp of the entropy of the singular values of a matrix that is not zero: between 1 and its rank."""
    values = torch.linalg.svdvals(matrix)
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
