"""One training in memory: the attached backbone, its images, its optimiser and where it stands."""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import torch

from studio.backbones.loading import resolve_backbone
from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.files import write_json
from studio.core.recipe import Recipe
from studio.core.run import ADAPTER_FILE, Run
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import build_index
from studio.data.dataset.index import DatasetIndex
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Batch
from studio.training import default_hparams, optimizer
from studio.training.backend import device as devices
from studio.training.backend import fused_attention, memory, memory_format, precision
from studio.training.backend.activation_checkpointing import checkpoint_blocks
from studio.training.checkpoint_state import CheckpointState
from studio.training.compile import CompiledModel
from studio.training.distributed.context import DistributedContext
from studio.training.ema import ModelEma
from studio.training.evaluate import run_eval_pass
from studio.training.feature_cache.disk_cache import FeatureCache
from studio.training.grad_accumulation import GradientAccumulator
from studio.training.grad_norms import GradNormMonitor
from studio.training.inputs import build_inputs, build_loaders
from studio.training.layer_decay import layer_lr_scales
from studio.training.loss import ClassificationLoss
from studio.training.lr_schedule import lr_factor
from studio.training.metrics import Metrics
from studio.training.model import build_model
from studio.training.pending_warnings import PendingWarnings
from studio.training.run_io import checkpoint, environment
from studio.training.train_state import TrainState

_DIVERGED_MESSAGE = (
    "The loss was not a number for three steps in a row, at lower rates too, so the training was ended with its best "
    "adapter kept; lower training.learning_rate, and train again."
)
CHECKPOINT_SECONDS = 300
"""Inside a long epoch a checkpoint is written this often."""


class Trainer:
    """Made by :meth:`prepare`, which raises StudioError, with nothing written, for whatever cannot be trained.

    One that ``cache_features`` leaves features of the frozen part on disk for other runs.
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
        # A run goes on in the precision that it began with; a measurement might decide otherwise the second time.
        began = saved.values["environment"]["precision"] if saved else None
        self.precision: precision.Precision = began or self.distributed.broadcast_from_main(
            lambda: precision.resolve_precision(recipe.training.precision, self.device)
        )
        self._cache_features = cache_features
        self.train_state = TrainState(parts=recipe.training.accumulation)
        self._pending_warnings = PendingWarnings()
        self._last_step_time = self._last_save_time = time.monotonic()
        self._last_data_wait = 0.0
        self._build_model()
        if saved is not None:
            self._resume_from(saved)

    @classmethod
    def prepare(cls, run: Run, resume: bool, distributed: DistributedContext | None = None) -> Self:
        """Load, attach and open everything; with ``resume`` put the last checkpoint back where there is one."""
        recipe = run.recipe
        saved = cls._last_checkpoint(run, recipe) if resume else None
        images = split_manifest.images_of_run(run.path, recipe.data) if resume else build_index(recipe.data)
        return cls(run, recipe, images, saved, distributed, cache_features=True)

    @staticmethod
    def _last_checkpoint(run: Run, recipe: Recipe) -> checkpoint.Checkpoint | None:
        saved = checkpoint.read(run.path / "checkpoints" / "last", run.path / "checkpoints" / "epoch")
        progress = TrainState.from_json(saved.values["progress"]) if saved else TrainState()
        if progress.epoch >= recipe.training.epochs:
            raise StudioError(f"This run is complete, with {progress.epoch} epochs; raise training.epochs to go on.")
        if progress.patience_exhausted(recipe.training.patience):
            raise StudioError(
                f"This run is complete: no epoch after {progress.best_epoch} was better; train it as a new run with a "
                f"higher training.patience."
            )
        return saved

    def _build_model(self) -> None:
        built = build_model(self.recipe, len(self.images.classes), self.device)
        self.model, self.weights_digest = built.model, built.weights_digest
        self.named_parameters = list(self.model.named_parameters())
        if not self.named_parameters:
            raise StudioError("Nothing would train: attach a method or let the head train.")
        self._grad_norm_monitor = GradNormMonitor(self.named_parameters)
        settings = self.recipe.training
        scales = layer_lr_scales(self.model.lr_scales(), self.model.layers, settings.layer_decay)
        self.optimizer = optimizer.build_optimizer(self.named_parameters, scales, settings)
        self._loaders = build_loaders(
            self.recipe, self.images, built.preprocessing, (self.distributed.rank, self.distributed.world_size)
        )
        self._ema = ModelEma(self.model, settings.ema) if settings.ema else None
        self._checkpoint_state = CheckpointState(
            self.model, self._ema, self.optimizer, self.named_parameters, self.device
        )
        if settings.gradient_checkpointing:
            checkpoint_blocks(self.model)
        fused_attention.set_fused_attention(self.model.module, self.device, self.precision)
        order = memory_format.choose_memory_format(self.model, settings.channels_last)
        self.inputs = build_inputs(
            self.model, built.preprocessing, *self._loaders, self.device, self.precision, order, self._feature_cache()
        )
        if settings.compile:
            trained = list(self.model.parameters())
            self.inputs = replace(
                self.inputs, network=CompiledModel(self.inputs.network, trained, self._pending_warnings.add)
            )
        self.model.train()
        classes = self._loaders[0].dataset.labels
        objective = ClassificationLoss(settings, len(self.images.classes), classes, self.device)
        self._grad_accumulator = GradientAccumulator(
            self.model,
            self.inputs.network,
            objective,
            self.distributed,
            self.device,
            self.precision,
            self._pending_warnings.add,
        )
        self.distributed.sync_drop_depths(self.model.module)

    def _feature_cache(self) -> FeatureCache | None:
        """Where features are kept between runs; a trial keeps none."""
        built = resolve_backbone(self.recipe.backbone)
        how = [built.name, built.model_args, built.pretrained_cfg]
        return FeatureCache({**self._environment(), "architecture": how}) if self._cache_features else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for loader in self._loaders:
            loader.close()

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.recipe.training.epochs * len(self.inputs.training)

    @property
    def complete(self) -> bool:
        """Whether all epochs are done, or so many brought nothing better that the rest is not worth it."""
        settings = self.recipe.training
        return self.train_state.epoch >= settings.epochs or self.train_state.patience_exhausted(settings.patience)

    @property
    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is old enough for another one inside the epoch."""
        return time.monotonic() - self._last_save_time >= CHECKPOINT_SECONDS

    def start(self) -> Iterator[events.Event]:
        """Write what describes the run, and say that it begins or goes on."""
        now = self._environment()
        if self.distributed.is_main_process:
            write_json(self.run.path / "environment.json", now | {"frozen_before": self.inputs.first_trained_layer})
            write_json(self.run.path / "labels.json", list(self.images.classes))
            split_manifest.write_split(self.images, self.run.path)
        census = self.model.parameter_counts()
        yield events.Started(
            step=self.train_state.step,
            steps=self.steps,
            epochs=self.recipe.training.epochs,
            training_images=len(self.inputs.training.dataset),
            validation_images=len(self.inputs.validation.dataset),
            trainable_parameters=census.trainable_parameters,
            total_parameters=census.total_parameters,
            device=now["device"],
        )
        if self.precision == "bfloat16" and not precision.supports_bfloat16(self.device):
            self._pending_warnings.add("This device has no bfloat16 arithmetic, so float32 would be faster.")
        if not self.train_state.step:
            self._pending_warnings.add(
                default_hparams.too_few_steps_warning(self.recipe, len(self.inputs.training.dataset))
            )
        yield from self._pending_warnings.pop_events()
        self._step_seconds()

    def batches(self) -> Iterator[Batch]:
        """What is left of the current epoch."""
        return self.inputs.training.batches(self.train_state.epoch, self.train_state.batch)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, as the recipe's schedule has it."""
        settings = self.recipe.training
        return (
            settings.learning_rate * self.train_state.slowing * lr_factor(self.train_state.step, self.steps, settings)
        )

    def step(self, batch: Batch, learning_rate: float | None = None) -> Iterator[events.Event]:
        """Train on one batch; one whose loss or gradient is not finite changes no parameter."""
        images = self._global_batch_size(batch)
        learning_rate = self.learning_rate if learning_rate is None else learning_rate
        loss, correct = self._optimizer_step(batch, learning_rate, images) if images else (0.0, 0)
        self.train_state.batch += 1
        self.train_state.step += 1
        self.train_state.add_batch(loss, correct, images)
        seconds, waited = self._step_seconds(), self._data_wait_seconds()
        self.train_state.add_step_time(seconds, waited)
        if not math.isfinite(loss):
            self._pending_warnings.add(
                f"The loss of step {self.train_state.step} is not a number; the step was skipped."
            )
        yield from self._pending_warnings.pop_events()
        if images:
            yield events.Step(
                step=self.train_state.step,
                epoch=self.train_state.epoch + 1,
                loss=loss,
                accuracy=correct / images,
                learning_rate=learning_rate,
                images_per_second=images / max(seconds, 1e-9),
                waited=waited,
            )
            yield from self._grad_norm_monitor.measure(self.train_state.step)

    def _global_batch_size(self, batch: Batch) -> int:
        """The images of a batch over all processes; what of it could not be read anywhere is warned of."""
        images, unreadable = self.distributed.all_reduce_sum_scalars([len(batch), len(batch.unreadable)])
        if unreadable:
            self._pending_warnings.add_unreadable(self._gather_unreadable(batch.unreadable))
        return int(images)

    def _gather_unreadable(self, unreadable: Iterable[UnreadableImageError]) -> Iterator[UnreadableImageError]:
        """What any process could not read."""
        told = self.distributed.all_gather_object([(str(error.path), error.reason) for error in unreadable])
        return (UnreadableImageError(Path(path), reason) for some in told for path, reason in some)

    def _optimizer_step(self, batch: Batch, learning_rate: float, num_images: int) -> tuple[float, int]:
        """The mean loss over ``num_images`` of all processes (NaN where no step was taken), and how many were right."""
        self.distributed.seed_rank(self.recipe.training.seed, self.train_state.step)
        outcome = self._grad_accumulator.backward(batch, num_images, self.train_state)
        clip = self.recipe.training.gradient_clip
        norm = optimizer.clip_grad_norm((parameter for _, parameter in self.named_parameters), clip)
        loss, correct = self.distributed.all_reduce_sum_scalars(
            [outcome.loss.item() / self.distributed.world_size, outcome.correct]
        )
        if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
            return math.nan, int(correct)
        optimizer.set_lr(self.optimizer, learning_rate)
        self.optimizer.step()
        if self._ema:
            self._ema.update(self.train_state.step)
        return loss, int(correct)

    def roll_back(self) -> Iterator[events.Event]:
        """Return to the start of the epoch with half the learning rate; raise StudioError after too many times.

        Not to the last checkpoint: its step depends on the clock and on who stopped the run.
        """
        saved, before = self._epoch_checkpoint(), self.train_state
        if saved is None or not before.can_roll_back:
            raise StudioError(_DIVERGED_MESSAGE)
        self._load_state(saved)
        self.train_state.halve_lr(before)
        yield events.Warning(
            text=f"The loss was not a number for three steps in a row, so the training goes back to step "
            f"{self.train_state.step} and on from there at half the learning rate."
        )
        yield self.save("last")

    def _epoch_checkpoint(self) -> checkpoint.Checkpoint | None:
        """Return the state at the start of the epoch; in runs of the first version the first epoch starts at "best"."""
        folder = self.run.path / "checkpoints"
        saved = checkpoint.read(folder / "epoch") or checkpoint.read(folder / "best")
        return saved if saved and saved.section("random") else None

    def epoch_event(self) -> events.Epoch:
        """The training's means over the epoch; StudioError where no image could be read at all."""
        if not self.train_state.images and not self.train_state.skipped:
            raise StudioError("None of the training images can be read any more; put them back, and resume the run.")
        self._pending_warnings.add(self.train_state.data_bound_warning())
        return events.Epoch(
            epoch=self.train_state.epoch + 1,
            step=self.train_state.step,
            loss=self.train_state.loss_sum / self.train_state.images if self.train_state.images else math.nan,
            accuracy=self.train_state.correct / max(1, self.train_state.images),
            seconds=self.train_state.seconds,
            waited=self.train_state.waited,
        )

    def evaluate(self, control: TrainControl, epoch: int) -> Generator[events.Event, None, bool]:
        """Say how good the adapter is after ``epoch`` and keep it where it is the best.

        Returns whether that was done: a stop or a pause cuts it short.
        """
        metrics = self._validate(control)
        yield from self._pending_warnings.pop_events()
        if metrics is None:
            return False
        if not metrics.images:
            raise StudioError("None of the validation images can be read; put them back, and resume the run.")
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
            measured = run_eval_pass(self.inputs.network, self.inputs.validation, self.device, self.precision, control)
        self.model.train()
        self.train_state.add_idle_time(self._step_seconds(), self._data_wait_seconds())
        self._pending_warnings.add_unreadable(self._gather_unreadable(measured.unreadable))
        measured.accumulator.sync(self.distributed.all_reduce_sum)
        return measured.accumulator.compute("validation") if measured.complete else None

    def save(self, name: Literal["last", "epoch", "best"]) -> events.Checkpoint:
        """Write a checkpoint: "last" to resume from, "epoch" to roll back to, "best" as the run's adapter."""
        self._last_save_time = time.monotonic()
        if self.distributed.is_main_process:
            self._write_best() if name == "best" else self._write_checkpoint(name)
        return events.Checkpoint(step=self.train_state.step, name=name)

    def _write_checkpoint(self, name: str) -> None:
        folder = self.run.path / "checkpoints" / name
        checkpoint.write(folder, self._checkpoint_state.state_tensors(), self._checkpoint_values())

    def _write_best(self) -> None:
        """Write the adapter alone: nothing resumes from the best epoch."""
        adapter = self._checkpoint_state.adapter_tensors
        named = {f"adapter/{name}": tensor for name, tensor in adapter.items()}
        checkpoint.write(self.run.path / "checkpoints" / "best", named, self._checkpoint_values())
        checkpoint.write_tensors(self.run.path / ADAPTER_FILE, adapter, {"format": "pt"})

    def usage_events(self) -> Iterator[events.Event]:
        """What the training took so far, where it has made a step."""
        done = self.train_state.epoch + self.train_state.batch / len(self.inputs.training)
        if done:
            yield events.ResourceUsage(
                peak_memory_bytes=self.peak_memory.peak_bytes(), seconds_per_epoch=self.train_state.total_seconds / done
            )

    def early_stop_warning(self) -> Iterator[events.Event]:
        """Say so where the training ends before its last epoch."""
        settings = self.recipe.training
        self._pending_warnings.add(self.train_state.early_stop_message(settings.epochs, settings.patience))
        return self._pending_warnings.pop_events()

    def finished_event(self, reason: str) -> events.Finished:
        """The end in good order: "completed" or "stopped"."""
        return events.Finished(
            step=self.train_state.step,
            reason=reason,
            seconds=self.train_state.total_seconds,
            best_accuracy=self.train_state.best_accuracy,
            best_epoch=self.train_state.best_epoch,
            waited=self.train_state.total_waited,
        )

    def _checkpoint_values(self) -> dict[str, Any]:
        return {
            "progress": self.train_state.as_json(),
            "environment": self._environment(),
        }

    def _environment(self) -> dict[str, Any]:
        return environment.collect_environment(
            self.device, self.precision, self.weights_digest, self.distributed.world_size
        )

    def _resume_from(self, saved: checkpoint.Checkpoint) -> None:
        before = saved.values["environment"]
        if before["backbone"] != self.weights_digest:
            raise StudioError("The backbone's weights are not those that this run began with; put them back first.")
        self._load_state(saved)
        if saved.damaged:
            self._pending_warnings.add("The last checkpoint is damaged; the run goes on from the one before it.")
        changed = environment.environment_changes(before, self._environment())
        if changed:
            self._pending_warnings.add(f"Results may differ in their last digits from before: {', '.join(changed)}.")

    def _load_state(self, saved: checkpoint.Checkpoint) -> None:
        self._checkpoint_state.load_state_tensors(saved)
        self.train_state = TrainState.from_json(saved.values["progress"])

    def reset_timers(self) -> None:
        """Leave the time since the last step out of every figure: the training waited."""
        self._step_seconds()
        self._data_wait_seconds()

    def _data_wait_seconds(self) -> float:
        """Seconds since the last call in which nothing could be done for want of images."""
        waited = sum(loader.waited for loader in self._loaders)
        seconds, self._last_data_wait = waited - self._last_data_wait, waited
        return seconds

    def _step_seconds(self) -> float:
        """Seconds since the last call."""
        now = time.monotonic()
        seconds, self._last_step_time = now - self._last_step_time, now
        return seconds
