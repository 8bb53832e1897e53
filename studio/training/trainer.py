"""A training run in memory: model, data, optimizer and position."""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from studio.backbones.loading import resolve_backbone
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.messages import N_
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index
from studio.data.dataset.index import DatasetIndex
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Batch
from studio.training import checkpoint_state, default_hparams, optimizer
from studio.training.backend import device as devices
from studio.training.backend import fused_attention, memory, memory_format, precision
from studio.training.backend.activation_checkpointing import checkpoint_blocks
from studio.training.checkpoint_state import CheckpointName, CheckpointState
from studio.training.compile import CompiledModel
from studio.training.distributed.context import DistributedContext
from studio.training.ema import ModelEma
from studio.training.evaluate import run_eval_pass
from studio.training.grad_accumulation import GradientAccumulator
from studio.training.grad_norms import GradNormMonitor
from studio.training.inputs import build_inputs, build_loaders
from studio.training.layer_decay import layer_lr_scales
from studio.training.loss import ClassificationLoss
from studio.training.lr_schedule import lr_factor
from studio.training.metrics import Metrics
from studio.training.model import BuiltModel, build_model
from studio.training.pending_warnings import PendingWarnings
from studio.training.run_io import checkpoint, environment
from studio.training.step_timer import StepTimer
from studio.training.train_state import TrainState

CHECKPOINT_SECONDS = 300
"""Time between checkpoints within a long epoch."""


class Trainer:
    """Steps, evaluations and checkpoints of a run; :meth:`prepare` makes one.

    With ``cache_features`` the features of a frozen prefix stay on disk for other runs.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        images: DatasetIndex,
        saved: checkpoint.Checkpoint | None = None,
        distributed: DistributedContext | None = None,
        cache_features: bool = False,
    ) -> None:
        self.run, self.recipe, self.images, self.distributed = run, recipe, images, distributed or DistributedContext()
        self.device = devices.resolve_device(self.distributed.local_device(recipe.training.device))
        self.peak_memory = memory.PeakMemory(self.device)
        # A resumed run keeps its precision, because a second measurement could decide otherwise.
        saved_precision = saved.values["environment"]["precision"] if saved else None
        self.precision: precision.Precision = saved_precision or self.distributed.broadcast_from_main(
            lambda: precision.resolve_precision(recipe.training.precision, self.device)
        )
        self._cache_features = cache_features
        self.train_state = TrainState(parts=recipe.training.accumulation)
        self._pending_warnings = PendingWarnings()
        self._last_save_time = time.monotonic()
        self._build()
        self._timer = StepTimer(self._loaders)
        if saved is not None:
            self._resume_from(saved)

    @classmethod
    def prepare(cls, run: Run, resume: bool, distributed: DistributedContext | None = None) -> Self:
        """Load everything, and with ``resume`` the last checkpoint.

        Raise StudioError, with nothing written, if the run cannot be trained.
        """
        recipe = run.recipe
        saved = checkpoint_state.read_resumable(run.path, recipe.training) if resume else None
        images = split_manifest.images_of_run(run.path, recipe.data) if resume else build_index(recipe.data)
        return cls(run, recipe, images, saved, distributed, cache_features=True)

    def _build(self) -> None:
        settings = self.recipe.training
        built = build_model(self.recipe, len(self.images.classes), self.device)
        self.model, self.weights_digest = built.model, built.weights_digest
        self.named_parameters = list(self.model.named_parameters())
        if not self.named_parameters:
            raise StudioError("nothing-to-train", "Nothing is trainable. Attach a method, or train the head.")
        self._grad_norm_monitor = GradNormMonitor(self.named_parameters)
        scales = layer_lr_scales(self.model.lr_scales(), self.model.layers, settings.layer_decay)
        self.optimizer = optimizer.build_optimizer(self.named_parameters, scales, settings)
        shard = (self.distributed.rank, self.distributed.world_size)
        on_gpu = self.device.type == "cuda"
        self._loaders = build_loaders(self.recipe, self.images, built.preprocessing, shard, pin_memory=on_gpu)
        self._ema = ModelEma(self.model, settings.ema) if settings.ema else None
        self._checkpoint_state = CheckpointState(
            self.model, self._ema, self.optimizer, self.named_parameters, self.device
        )
        self._build_inputs(built)
        self._grad_accumulator = GradientAccumulator(
            self.model,
            self.inputs.network,
            ClassificationLoss(settings, len(self.images.classes), self._loaders[0].dataset.labels, self.device),
            self.distributed,
            self.device,
            self.precision,
            self._pending_warnings.add,
        )
        self.distributed.sync_drop_depths(self.model.module)

    def _build_inputs(self, built: BuiltModel) -> None:
        """Choose how the network runs, and build what it reads."""
        settings = self.recipe.training
        if settings.gradient_checkpointing:
            checkpoint_blocks(self.model)
        fused_attention.set_fused_attention(self.model.module, self.device, self.precision)
        order = memory_format.choose_memory_format(self.model, settings.channels_last)
        self.inputs = build_inputs(
            self.model, built.preprocessing, *self._loaders, self.device, self.precision, order, self._cache_key_data()
        )
        if settings.compile:
            compiled = CompiledModel(self.inputs.network, list(self.model.parameters()), self._pending_warnings.add)
            self.inputs = replace(self.inputs, network=compiled)
        self.model.train()

    def _cache_key_data(self) -> dict[str, Any] | None:
        """Return the data that cached features depend on besides the loader.

        None for a trial, which caches nothing.
        """
        if not self._cache_features:
            return None
        spec = resolve_backbone(self.recipe.backbone)
        return {**self._environment(), "architecture": [spec.name, spec.model_args, spec.pretrained_cfg]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for loader in self._loaders:
            loader.close()

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.recipe.training.epochs * len(self.inputs.training)

    @property
    def complete(self) -> bool:
        """Whether all epochs are done, or the patience is exhausted."""
        settings = self.recipe.training
        return self.train_state.epoch >= settings.epochs or self.train_state.patience_exhausted(settings.patience)

    @property
    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint within the epoch."""
        return time.monotonic() - self._last_save_time >= CHECKPOINT_SECONDS

    def start(self) -> Iterator[events.Event]:
        """Write the files that describe the run, and yield the start and its warnings."""
        now = self._environment()
        if self.distributed.is_main_process:
            write_json(self.run.path / "environment.json", now | {"frozen_before": self.inputs.first_trained_layer})
            write_json(self.run.path / "labels.json", list(self.images.classes))
            split_manifest.write_split(self.images, self.run.path)
        counts = self.model.parameter_counts()
        yield events.Started(
            step=self.train_state.step,
            steps=self.steps,
            epochs=self.recipe.training.epochs,
            training_images=len(self.inputs.training.dataset),
            validation_images=len(self.inputs.validation.dataset),
            trainable_parameters=counts.trainable_parameters,
            total_parameters=counts.total_parameters,
            device=now["device"],
        )
        if self.precision == "bfloat16" and not precision.supports_bfloat16(self.device):
            self._pending_warnings.add(N_("This device has no native bfloat16 support; float32 is faster."))
        if not self.train_state.step:
            num_images = len(self.inputs.training.dataset)
            self._pending_warnings.add(default_hparams.too_few_steps_warning(self.recipe, num_images))
        yield from self._pending_warnings.pop_events()
        self.reset_timers()

    def batches(self) -> Iterator[Batch]:
        """Return the batches that are left of the current epoch."""
        return self.inputs.training.batches(self.train_state.epoch, self.train_state.batch)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step, by the schedule of the recipe."""
        settings, state = self.recipe.training, self.train_state
        return settings.learning_rate * state.slowing * lr_factor(state.step, self.steps, settings)

    def step(self, batch: Batch, learning_rate: float | None = None) -> Iterator[events.Event]:
        """Train on one batch, and yield its events.

        A batch without a finite loss and gradient is skipped. ``learning_rate`` replaces that of the schedule.
        """
        state, num_images = self.train_state, self._global_batch_size(batch)
        learning_rate = self.learning_rate if learning_rate is None else learning_rate
        loss, correct = self._optimizer_step(batch, learning_rate, num_images) if num_images else (0.0, 0)
        state.batch += 1
        state.step += 1
        state.add_batch(loss, correct, num_images)
        seconds, waited = self._timer.lap()
        state.add_step_time(seconds, waited)
        if not math.isfinite(loss):
            self._pending_warnings.add(
                N_("The loss of step {step} is not finite. The step was skipped.", step=state.step)
            )
        yield from self._pending_warnings.pop_events()
        if num_images:
            yield events.Step(
                step=state.step,
                epoch=state.epoch + 1,
                loss=loss,
                accuracy=correct / num_images,
                learning_rate=learning_rate,
                images_per_second=num_images / max(seconds, 1e-9),
                waited=waited,
            )
            yield from self._grad_norm_monitor.measure(state.step)

    def _optimizer_step(self, batch: Batch, learning_rate: float, num_images: int) -> tuple[float, int]:
        """Forward, backward, clip and step for one batch of ``num_images``.

        Return the mean loss over all processes, NaN for a skipped step, and the number of correct predictions.
        """
        self.distributed.seed_rank(self.recipe.training.seed, self.train_state.step)
        result = self._grad_accumulator.forward_backward(batch, num_images, self.train_state)
        parameters = (parameter for _, parameter in self.named_parameters)
        grad_norm = optimizer.clip_grad_norm(parameters, self.recipe.training.gradient_clip)
        loss, correct = self.distributed.all_reduce_sum_scalars(
            [result.loss.item() / self.distributed.world_size, result.correct]
        )
        if not (math.isfinite(loss) and bool(torch.isfinite(grad_norm))):
            return math.nan, int(correct)
        optimizer.set_lr(self.optimizer, learning_rate)
        self.optimizer.step()
        if self._ema:
            self._ema.update(self.train_state.step)
        return loss, int(correct)

    def _global_batch_size(self, batch: Batch) -> int:
        """Return the number of images over all processes.

        Those that could not be read get a warning.
        """
        images, unreadable = self.distributed.all_reduce_sum_scalars([len(batch), len(batch.unreadable)])
        if unreadable:
            self._pending_warnings.add_unreadable(self._gather_unreadable(batch.unreadable))
        return int(images)

    def _gather_unreadable(self, unreadable: Iterable[UnreadableImageError]) -> Iterator[UnreadableImageError]:
        """Return the unreadable images of all processes."""
        by_rank = self.distributed.all_gather_object([(str(error.path), error.reason) for error in unreadable])
        return (UnreadableImageError(Path(path), reason) for errors in by_rank for path, reason in errors)

    def roll_back(self) -> Iterator[events.Event]:
        """Return to the start of the epoch with half the learning rate.

        Not to the last checkpoint: its step depends on the clock and on who stopped the run. Raise StudioError if the
        limit of roll backs is reached.
        """
        saved, diverged = checkpoint_state.read_epoch(self.run.path), self.train_state
        if saved is None or not diverged.can_roll_back:
            raise StudioError(
                "diverged",
                "Training diverged: the loss was not finite in three steps in a row, also at lower learning rates. The "
                "best adapter is saved; try again with a lower learning rate.",
            )
        self._load_state(saved)
        self.train_state.halve_lr(diverged)
        yield events.Warning(
            text=N_(
                "The loss was not finite in three steps in a row. Training returns to step {step} with half the "
                "learning rate.",
                step=self.train_state.step,
            )
        )
        yield self.save("last")

    def epoch_event(self) -> events.Epoch:
        """Return the means over the epoch; raise StudioError if no image could be read."""
        state = self.train_state
        if not state.images and not state.skipped:
            raise StudioError(
                "unreadable-images", "No training image can be read. Restore the files and resume the run."
            )
        self._pending_warnings.add(state.data_bound_warning())
        return events.Epoch(
            epoch=state.epoch + 1,
            step=state.step,
            loss=state.loss_sum / state.images if state.images else math.nan,
            accuracy=state.correct / max(1, state.images),
            seconds=state.seconds,
            waited=state.waited,
        )

    def evaluate(self, control: TrainControl, epoch: int) -> Generator[events.Event, None, bool]:
        """Evaluate the adapter after ``epoch``, and save it if it is the best.

        Return False if a stop or a pause interrupted the evaluation.
        """
        metrics = self._validate(control)
        yield from self._pending_warnings.pop_events()
        if metrics is None:
            return False
        if not metrics.images:
            raise StudioError(
                "unreadable-images", "No validation image can be read. Restore the files and resume the run."
            )
        best = self.train_state.update_best(metrics, epoch, self.recipe.training.best_by)
        yield events.Evaluation(
            epoch=epoch,
            step=self.train_state.step,
            split=metrics.split,
            loss=metrics.loss,
            accuracy=metrics.accuracy,
            best=best,
        )
        if best:
            yield self.save("best")
        return True

    def _validate(self, control: TrainControl) -> Metrics | None:
        self.model.eval()
        with self._ema.swapped_in() if self._ema else nullcontext():
            result = run_eval_pass(self.inputs.network, self.inputs.validation, self.device, self.precision, control)
        self.model.train()
        self.train_state.add_idle_time(*self._timer.lap())
        self._pending_warnings.add_unreadable(self._gather_unreadable(result.unreadable))
        result.accumulator.sync(self.distributed.all_reduce_sum)
        return result.accumulator.compute("validation") if result.complete else None

    def save(self, name: CheckpointName) -> events.Checkpoint:
        """Write a checkpoint.

        "last" is to resume from, "epoch" to roll back to, "best" is the result.
        """
        self._last_save_time = time.monotonic()
        if self.distributed.is_main_process:
            values = {"progress": self.train_state.as_json(), "environment": self._environment()}
            self._checkpoint_state.save(self.run.path, name, values)
        return events.Checkpoint(step=self.train_state.step, name=name)

    def usage_events(self) -> Iterator[events.Event]:
        """Yield the resource usage so far, after at least one step."""
        epochs = self.train_state.epoch + self.train_state.batch / len(self.inputs.training)
        if epochs:
            seconds = self.train_state.total_seconds / epochs
            yield events.ResourceUsage(peak_memory_bytes=self.peak_memory.peak_bytes(), seconds_per_epoch=seconds)

    def early_stop_warning(self) -> Iterator[events.Event]:
        """Yield a warning if the patience is exhausted before the last epoch."""
        settings = self.recipe.training
        self._pending_warnings.add(self.train_state.early_stop_message(settings.epochs, settings.patience))
        return self._pending_warnings.pop_events()

    def _environment(self) -> dict[str, Any]:
        return environment.collect_environment(
            self.device, self.precision, self.weights_digest, self.distributed.world_size
        )

    def _resume_from(self, saved: checkpoint.Checkpoint) -> None:
        before = saved.values["environment"]
        if before["backbone"] != self.weights_digest:
            raise StudioError(
                "other-weights",
                "The run cannot be resumed: the backbone has other weights than at its start. Restore those first.",
            )
        self._load_state(saved)
        if saved.damaged:
            self._pending_warnings.add(N_("The last checkpoint is damaged. The run resumes from an earlier one."))
        for change in environment.environment_changes(before, self._environment()):
            self._pending_warnings.add(change)

    def _load_state(self, saved: checkpoint.Checkpoint) -> None:
        self._checkpoint_state.load_state_tensors(saved)
        self.train_state = TrainState.from_json(saved.values["progress"])

    def reset_timers(self) -> None:
        """Leave the time since the last step out of all times, such as that of a pause."""
        self._timer.lap()
