"""What is said of a run beside its curves."""

import math

from studio.core import events
from studio.ui.i18n.language import tr
from studio.ui.pages.train.overfitting import find_overfit_point
from studio.ui.pages.train.run_history import RunHistory
from studio.ui.style.formatting import format_bytes, format_duration, format_percent

_MAX_WARNINGS = 3
_DATA_WAIT_THRESHOLD = 0.25
SEPARATOR = "   ·   "


def status_text(history: RunHistory, live: bool, stopping: bool, pausing: bool) -> str:
    """Where the run stands; one that is not ``live`` and tells of no end was broken off."""
    if history.started is None:
        return tr("Preparing")
    if isinstance(history.ended, events.Finished):
        time = format_duration(history.ended.seconds)
        completed = history.ended.reason == "completed"
        return tr("Finished after {time}", time=time) if completed else tr("Stopped after {time}", time=time)
    if isinstance(history.ended, events.Error):
        return tr("Ended with an error")
    if not live:
        return tr("Interrupted in epoch {n} of {all}", n=max(1, history.epoch), all=history.started.epochs)
    if stopping:
        return tr("Stopping after this step")
    if history.paused:
        return tr("Paused in epoch {n} of {all}", n=max(1, history.epoch), all=history.started.epochs)
    if pausing:
        return tr("Pausing after this step")
    return tr("Epoch {n} of {all}", n=max(1, history.epoch), all=history.started.epochs)


def progress_text(history: RunHistory, live: bool) -> str:
    """Steps, speed and time left."""
    parts = []
    if history.started:
        parts.append(tr("step {n:,} of {all:,}", n=history.step, all=history.started.steps))
    if live and not history.paused:
        if history.images_per_second:
            parts.append(tr("{n:,.0f} images/s", n=history.images_per_second))
        if not math.isnan(history.seconds_left):
            parts.append(tr("{time} left", time=format_duration(history.seconds_left)))
    return SEPARATOR.join(parts)


def best_text(history: RunHistory, live: bool, baseline_accuracy: float | None = None) -> str:
    """The best so far, beside the accuracy ``baseline_accuracy``; the last checkpoint; what it was expected to take, and took."""
    parts = []
    if history.best_evaluation:
        share = format_percent(history.best_evaluation.accuracy)
        if history.best_evaluation.epoch:
            parts.append(
                tr("best validation accuracy {share} in epoch {n}", share=share, n=history.best_evaluation.epoch)
            )
        else:
            parts.append(tr("validation accuracy {share} before training", share=share))
        if baseline_accuracy is not None:
            parts.append(_against_baseline_text(100 * (history.best_evaluation.accuracy - baseline_accuracy)))
    if live and history.last_checkpoint is not None:
        parts.append(tr("last checkpoint at step {n:,}", n=history.last_checkpoint.step))
    if len(history.epoch_loss.x):
        parts.append(tr("waited {share} of the time for images", share=format_percent(history.data_wait_share, 0)))
    if (expected := history.resource_estimate) is not None:
        time, memory = format_duration(expected.seconds_per_epoch), format_bytes(expected.peak_memory_bytes)
        parts.append(tr("expected {time} an epoch, {memory}", time=time, memory=memory))
    if (took := history.usage) is not None:
        time, memory = format_duration(took.seconds_per_epoch), format_bytes(took.peak_memory_bytes)
        parts.append(tr("took {time} an epoch, {memory}", time=time, memory=memory))
    return SEPARATOR.join(parts)


def _against_baseline_text(points: float) -> str:
    if points >= 0:
        return tr("{points:.1f} points above the number to beat", points=points)
    return tr("{points:.1f} points below the number to beat", points=-points)


def problem_text(history: RunHistory) -> tuple[str, str]:
    """Why the run ended, and what it met on its way, with the tone in which to say it."""
    if isinstance(history.ended, events.Error):
        return tr(history.ended.text), "bad"
    lines = [tr(note) for note in history.warnings[-_MAX_WARNINGS:]]
    if len(history.warnings) > _MAX_WARNINGS:
        lines.insert(0, tr("{n} more messages are in the run's log.txt.", n=len(history.warnings) - _MAX_WARNINGS))
    return "\n".join(lines), "warn" if history.warnings else "info"


def advice_text(history: RunHistory) -> str:
    """What to do where the network learns by heart, or something does not learn at all; empty where all is well."""
    return "\n".join(
        words
        for words in (_overfitting_text(history), _without_gradient_text(history), _data_wait_text(history))
        if words
    )


def _without_gradient_text(history: RunHistory) -> str:
    if not history.without_gradient:
        return ""
    return tr(
        "No gradient has reached {n} of the {all} places that train, so they have not moved: {first}. Attach there "
        "something else, or take it off; the layer tree marks them.",
        n=len(history.without_gradient),
        all=len(history.grad_norms),
        first=", ".join(sorted(history.without_gradient)[:2]),
    )


def _data_wait_text(history: RunHistory) -> str:
    if history.data_wait_share < _DATA_WAIT_THRESHOLD or history.ended is not None:
        return ""
    return tr(
        "The training waits {share} of its time for images; it goes faster with smaller image files on a faster disk, "
        "or with less augmentation.",
        share=format_percent(history.data_wait_share, 0),
    )


def _overfitting_text(history: RunHistory) -> str:
    found = find_overfit_point(tuple(history.epoch_loss.points()), tuple(history.validation_loss.points()))
    if found is None:
        return ""
    return tr(
        "The validation loss was lowest in epoch {n:.0f} and has risen by {share} since, while the training loss still "
        "falls: the network learns its training images by heart. The best epoch is kept. Stop here, or train again "
        "with stronger augmentation, fewer trained parameters, more weight decay, or more images.",
        n=found.step / history.steps_per_epoch,
        share=format_percent(found.rise, 0),
    )
