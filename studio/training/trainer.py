"""One training in memory: the attached backbone, its images, its optimiser and where it stands."""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save

from studio.backbones.loading import architecture
from studio.core import events
from studio.core.control import Control
from studio.core.errors import StudioError
from studio.core.files import write_bytes, write_json
from studio.core.recipe import Recipe
from studio.core.run import Run
from studio.data.dataset import split_manifest
from studio.data.dataset.dataset import open_folder
from studio.data.dataset.index import DatasetSummary
from studio.data.images.decode import UnreadableImageError
from studio.data.loader import Batch
from studio.training import default_hparams, optimizer
from studio.training.backend import device as devices
from studio.training.backend import fused_attention, memory, memory_format, precision
from studio.training.backend.activation_checkpointing import recompute_blocks
from studio.training.checkpoint_state import State
from studio.training.compile import Compiled
from studio.training.distributed.context import Team
from studio.training.ema import Average
from studio.training.evaluate import measure
from studio.training.feature_cache.disk_cache import Shelf
from studio.training.grad_accumulation import Gradients
from studio.training.grad_norms import Gauge
from studio.training.inputs import choose, loaders
from studio.training.layer_decay import decayed
from studio.training.loss import Objective
from studio.training.lr_schedule import rate_factor
from studio.training.metrics import Metrics
from studio.training.model import build
from studio.training.pending_warnings import Notices
from studio.training.run_io import checkpoint, environment
from studio.training.train_state import Progress

ADAPTER = "adapter.safetensors"
_DIVERGED = (
    "The loss was not a number for three steps in a row, at lower rates too, so the training was ended with its best "
    "adapter kept; lower training.learning_rate, and train again."
)
CHECKPOINT_SECONDS = 300
"""Inside a long epoch a checkpoint is written this often."""


class Session:
    """Made by :meth:`prepare`, which raises StudioError, with nothing written, for whatever cannot be trained.

    One that ``keeps`` leaves features of the frozen part on disk for other runs.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        images: DatasetSummary,
        saved: checkpoint.Checkpoint | None = None,
        team: Team | None = None,
        keeps: bool = False,
    ) -> None:
        self.run, self.recipe, self.images, self.team = run, recipe, images, team or Team()
        self.device = devices.resolve(self.team.device(recipe.training.device))
        self.peak = memory.Peak(self.device)
        # A run goes on in the precision that it began with; a measurement might decide otherwise the second time.
        began = saved.values["environment"]["precision"] if saved else None
        self.precision: precision.Precision = began or self.team.same(
            lambda: precision.resolve(recipe.training.precision, self.device)
        )
        self._keeps = keeps
        self.progress = Progress(parts=recipe.training.accumulation)
        self._notices = Notices()
        self._clock = self._saved = time.monotonic()
        self._waited = 0.0
        self._make_network()
        if saved is not None:
            self._restore(saved)

    @classmethod
    def prepare(cls, run: Run, resume: bool, team: Team | None = None) -> Self:
        """Load, attach and open everything; with ``resume`` put the last checkpoint back where there is one."""
        recipe = run.recipe
        saved = cls._last_checkpoint(run, recipe) if resume else None
        images = split_manifest.images_of(run.path, recipe.data) if resume else open_folder(recipe.data)
        return cls(run, recipe, images, saved, team, keeps=True)

    @staticmethod
    def _last_checkpoint(run: Run, recipe: Recipe) -> checkpoint.Checkpoint | None:
        saved = checkpoint.read(run.path / "checkpoints" / "last")
        progress = Progress.from_json(saved.values["progress"]) if saved else Progress()
        if progress.epoch >= recipe.training.epochs:
            raise StudioError(f"This run is complete, with {progress.epoch} epochs; raise training.epochs to go on.")
        if progress.has_waited(recipe.training.patience):
            raise StudioError(
                f"This run is complete: no epoch after {progress.best_epoch} was better; train it as a new run with a "
                f"higher training.patience."
            )
        return saved

    def _make_network(self) -> None:
        built = build(self.recipe, len(self.images.classes), self.device)
        self.attached, self.backbone = built.attached, built.identity
        self.named = list(self.attached.named_parameters())
        if not self.named:
            raise StudioError("Nothing would train: attach a method or let the head train.")
        self._gauge = Gauge(self.named)
        settings = self.recipe.training
        scales = decayed(self.attached.rate_scales(), self.attached.layers, settings.layer_decay)
        self.optimizer = optimizer.make(self.named, scales, settings)
        self._loaders = loaders(self.recipe, self.images, built.preprocessing, (self.team.rank, self.team.size))
        self._average = Average(self.attached, settings.ema) if settings.ema else None
        self._state = State(self.attached, self._average, self.optimizer, self.named, self.device)
        if settings.gradient_checkpointing:
            recompute_blocks(self.attached)
        fused_attention.choose(self.attached.module, self.device, self.precision)
        order = memory_format.choose(self.attached, settings.channels_last)
        self.feed = choose(
            self.attached, built.preprocessing, *self._loaders, self.device, self.precision, order, self._shelf()
        )
        if settings.compile:
            trained = list(self.attached.parameters())
            self.feed = replace(self.feed, network=Compiled(self.feed.network, trained, self._notices.add))
        self.attached.train()
        classes = self._loaders[0].dataset.labels
        objective = Objective(settings, len(self.images.classes), classes, self.device)
        self._gradients = Gradients(
            self.attached, self.feed.network, objective, self.team, self.device, self.precision, self._notices.add
        )
        self.team.draw_depths(self.attached.module)

    def _shelf(self) -> Shelf | None:
        """Where features are kept between runs; a trial keeps none."""
        built = architecture(self.recipe.backbone)
        how = [built.name, built.model_args, built.pretrained_cfg]
        return Shelf({**self._environment(), "architecture": how}) if self._keeps else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for loader in self._loaders:
            loader.close()

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.recipe.training.epochs * len(self.feed.training)

    @property
    def complete(self) -> bool:
        """Whether all epochs are done, or so many brought nothing better that the rest is not worth it."""
        settings = self.recipe.training
        return self.progress.epoch >= settings.epochs or self.progress.has_waited(settings.patience)

    @property
    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is old enough for another one inside the epoch."""
        return time.monotonic() - self._saved >= CHECKPOINT_SECONDS

    def start(self) -> Iterator[events.Event]:
        """Write what describes the run, and say that it begins or goes on."""
        now = self._environment()
        if self.team.leads:
            write_json(self.run.path / "environment.json", now | {"frozen_before": self.feed.cut})
            write_json(self.run.path / "labels.json", list(self.images.classes))
            split_manifest.write(self.images, self.run.path)
        census = self.attached.census()
        yield events.Started(
            step=self.progress.step,
            steps=self.steps,
            epochs=self.recipe.training.epochs,
            training_images=len(self.feed.training.dataset),
            validation_images=len(self.feed.validation.dataset),
            trainable_parameters=census.trainable_parameters,
            total_parameters=census.total_parameters,
            device=now["device"],
        )
        if self.precision == "bfloat16" and not precision.has_bfloat16(self.device):
            self._notices.add("This device has no bfloat16 arithmetic, so float32 would be faster.")
        if not self.progress.step:
            self._notices.add(default_hparams.few_steps(self.recipe, len(self.feed.training.dataset)))
        yield from self._notices.warnings()
        self._lap()

    def batches(self) -> Iterator[Batch]:
        """What is left of the current epoch."""
        return self.feed.training.batches(self.progress.epoch, self.progress.batch)

    @property
    def rate(self) -> float:
        """The learning rate of the next step, as the recipe's schedule has it."""
        settings = self.recipe.training
        return settings.learning_rate * self.progress.slowing * rate_factor(self.progress.step, self.steps, settings)

    def step(self, batch: Batch, rate: float | None = None) -> Iterator[events.Event]:
        """Train on one batch, at :attr:`rate` or another. A loss or gradient that is no number changes nothing."""
        images = self._together(batch)
        rate = self.rate if rate is None else rate
        loss, correct = self._learn(batch, rate, images) if images else (0.0, 0)
        self.progress.batch += 1
        self.progress.step += 1
        self.progress.count(loss, correct, images)
        seconds, waited = self._lap(), self._stall()
        self.progress.tick(seconds, waited)
        if not math.isfinite(loss):
            self._notices.add(f"The loss of step {self.progress.step} is not a number; the step was skipped.")
        yield from self._notices.warnings()
        if images:
            yield events.Step(
                step=self.progress.step,
                epoch=self.progress.epoch + 1,
                loss=loss,
                accuracy=correct / images,
                learning_rate=rate,
                images_per_second=images / max(seconds, 1e-9),
                waited=waited,
            )
            yield from self._gauge.look(self.progress.step)

    def _together(self, batch: Batch) -> int:
        """The images of a batch over all processes; what of it could not be read anywhere is warned of."""
        images, unreadable = self.team.sum([len(batch), len(batch.unreadable)])
        if unreadable:
            self._notices.name(self._told(batch.unreadable))
        return int(images)

    def _told(self, unreadable: Iterable[UnreadableImageError]) -> Iterator[UnreadableImageError]:
        """What any process could not read."""
        told = self.team.gathered([(str(error.path), error.reason) for error in unreadable])
        return (UnreadableImageError(Path(path), reason) for some in told for path, reason in some)

    def _learn(self, batch: Batch, rate: float, images: int) -> tuple[float, int]:
        """The mean loss over ``images`` of all processes (NaN where no step was taken), and how many were right."""
        self.team.seed(self.recipe.training.seed, self.progress.step)
        outcome = self._gradients.of(batch, images, self.progress)
        clip = self.recipe.training.gradient_clip
        norm = optimizer.gradient_norm((parameter for _, parameter in self.named), clip)
        loss, correct = self.team.sum([outcome.loss.item() / self.team.size, outcome.correct])
        if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
            return math.nan, int(correct)
        optimizer.set_rate(self.optimizer, rate)
        self.optimizer.step()
        if self._average:
            self._average.update(self.progress.step)
        return loss, int(correct)

    def roll_back(self) -> Iterator[events.Event]:
        """Go back to the beginning of the epoch, to go on at half the rate; StudioError where that was done too often.

        Not to the last checkpoint: when that was written depends on the clock and on who stopped the run.
        """
        folder, before = self.run.path / "checkpoints", self.progress
        saved = checkpoint.read(folder / "epoch") or checkpoint.read(folder / "best")
        if saved is None or not before.may_roll_back:
            raise StudioError(_DIVERGED)
        self._put_back(saved)
        self.progress.slow_down(before)
        yield events.Warning(
            text=f"The loss was not a number for three steps in a row, so the training goes back to step "
            f"{self.progress.step} and on from there at half the learning rate."
        )
        yield self.save("last")

    def end_of_epoch(self) -> events.Epoch:
        """The training's means over the epoch; StudioError where no image could be read at all."""
        if not self.progress.images and not self.progress.skipped:
            raise StudioError("None of the training images can be read any more; put them back, and resume the run.")
        self._notices.add(self.progress.stalls())
        return events.Epoch(
            epoch=self.progress.epoch + 1,
            step=self.progress.step,
            loss=self.progress.loss_sum / self.progress.images if self.progress.images else math.nan,
            accuracy=self.progress.correct / max(1, self.progress.images),
            seconds=self.progress.seconds,
            waited=self.progress.waited,
        )

    def evaluate(self, control: Control, epoch: int) -> Generator[events.Event, None, bool]:
        """Say how good the adapter is after ``epoch`` and keep it where it is the best.

        Returns whether that was done: a stop or a pause cuts it short.
        """
        metrics = self._validate(control)
        yield from self._notices.warnings()
        if metrics is None:
            return False
        if not metrics.images:
            raise StudioError("None of the validation images can be read; put them back, and resume the run.")
        best = self.progress.take_best(metrics, epoch, self.recipe.training.best_by)
        yield events.Evaluation(
            epoch=epoch,
            step=self.progress.step,
            split=metrics.split,
            loss=metrics.loss,
            accuracy=metrics.accuracy,
            best=best,
        )
        if best:
            yield self.save("best")
        return True

    def _validate(self, control: Control) -> Metrics | None:
        self.attached.eval()
        with self._average.in_place() if self._average else nullcontext():
            measured = measure(self.feed.network, self.feed.validation, self.device, self.precision, control)
        self.attached.train()
        self.progress.rest(self._lap(), self._stall())
        self._notices.name(self._told(measured.unreadable))
        measured.tally.total(self.team.total)
        return measured.tally.metrics("validation") if measured.complete else None

    def save(self, name: str) -> events.Checkpoint:
        """Write a checkpoint; "best" also becomes the run's adapter, and "epoch" is where :meth:`roll_back` leads."""
        self._saved = time.monotonic()
        if self.team.leads:
            self._write(name)
        return events.Checkpoint(step=self.progress.step, name=name)

    def _write(self, name: str) -> None:
        checkpoint.write(self.run.path / "checkpoints" / name, self._state.tensors(), self._values())
        if name == "best":
            adapter = {key: tensor.cpu().contiguous() for key, tensor in self._state.adapter.items()}
            write_bytes(self.run.path / ADAPTER, save(adapter, metadata={"format": "pt"}))

    def usage(self) -> Iterator[events.Event]:
        """What the training took so far, where it has made a step."""
        done = self.progress.epoch + self.progress.batch / len(self.feed.training)
        if done:
            yield events.Usage(
                peak_memory_bytes=self.peak.bytes(), seconds_per_epoch=self.progress.total_seconds / done
            )

    def gave_up(self) -> Iterator[events.Event]:
        """Say so where the training ends before its last epoch."""
        settings = self.recipe.training
        self._notices.add(self.progress.gave_up(settings.epochs, settings.patience))
        return self._notices.warnings()

    def finished(self, reason: str) -> events.Finished:
        """The end in good order: "completed" or "stopped"."""
        return events.Finished(
            step=self.progress.step,
            reason=reason,
            seconds=self.progress.total_seconds,
            best_accuracy=self.progress.best_accuracy,
            best_epoch=self.progress.best_epoch,
            waited=self.progress.total_waited,
        )

    def _values(self) -> dict[str, Any]:
        return {
            "progress": self.progress.as_json(),
            "environment": self._environment(),
        }

    def _environment(self) -> dict[str, Any]:
        return environment.describe(self.device, self.precision, self.backbone, self.team.size)

    def _restore(self, saved: checkpoint.Checkpoint) -> None:
        before = saved.values["environment"]
        if before["backbone"] != self.backbone:
            raise StudioError("The backbone's weights are not those that this run began with; put them back first.")
        self._put_back(saved)
        if saved.damaged:
            self._notices.add("The last checkpoint is damaged; the run goes on from the one before it.")
        changed = environment.differences(before, self._environment())
        if changed:
            self._notices.add(f"Results may differ in their last digits from before: {', '.join(changed)}.")

    def _put_back(self, saved: checkpoint.Checkpoint) -> None:
        self._state.restore(saved)
        self.progress = Progress.from_json(saved.values["progress"])

    def forget_time(self) -> None:
        """Leave the time since the last step out of every figure: the training waited."""
        self._lap()
        self._stall()

    def _stall(self) -> float:
        """Seconds since the last call in which nothing could be done for want of images."""
        waited = sum(loader.waited for loader in self._loaders)
        seconds, self._waited = waited - self._waited, waited
        return seconds

    def _lap(self) -> float:
        """Seconds since the last call."""
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        return seconds
