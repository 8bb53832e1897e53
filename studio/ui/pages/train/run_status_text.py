"""Texts beside the curves of a run."""

import math

from studio.core import events
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.train.overfitting import find_overfit_point
from studio.ui.pages.train.run_history import RunHistory
from studio.ui.style.formatting import format_bytes, format_duration, format_percent

_MAX_WARNINGS = 3
_DATA_WAIT_THRESHOLD = 0.25
SEPARATOR = "   ·   "


def status_text(history: RunHistory, live: bool, stopping: bool, pausing: bool) -> str:
    """Return the state; a run without an end that is not ``live`` was interrupted."""
    if history.started is None:
        return tr("Preparing")
    if isinstance(history.ended, events.Finished):
        time = format_duration(history.ended.seconds)
        completed = history.ended.reason == "completed"
        return tr("Finished after {time}", time=time) if completed else tr("Stopped after {time}", time=time)
    if isinstance(history.ended, events.Error):
        return tr("Failed")
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
    """Return steps, speed and time left."""
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
    """Return best accuracy, last checkpoint, waiting time and resources."""
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
        parts.append(
            tr("{share} of the time spent waiting for images", share=format_percent(history.data_wait_share, 0))
        )
    if (estimate := history.resource_estimate) is not None:
        time, memory = format_duration(estimate.seconds_per_epoch), format_bytes(estimate.peak_memory_bytes)
        parts.append(tr("expected {time} per epoch, {memory}", time=time, memory=memory))
    if (usage := history.usage) is not None:
        time, memory = format_duration(usage.seconds_per_epoch), format_bytes(usage.peak_memory_bytes)
        parts.append(tr("took {time} per epoch, {memory}", time=time, memory=memory))
    return SEPARATOR.join(parts)


def _against_baseline_text(points: float) -> str:
    if points >= 0:
        return tr("{points:.1f} points above the baseline", points=points)
    return tr("{points:.1f} points below the baseline", points=-points)


def problem_text(history: RunHistory) -> tuple[str, str]:
    """Return the error or the last warnings of the run, and the tone of the banner."""
    if isinstance(history.ended, events.Error):
        return localized(history.ended.text), "bad"
    lines = [localized(text) for text in history.warnings[-_MAX_WARNINGS:]]
    if (more := len(history.warnings) - _MAX_WARNINGS) > 0:
        lines.insert(
            0, tr_n("{n} more warning is in the run's log.txt.", "{n} more warnings are in the run's log.txt.", more)
        )
    return "\n".join(lines), "warn" if history.warnings else "info"


def advice_text(history: RunHistory) -> str:
    """Return advice on overfitting, layers without gradient and slow data, if any."""
    return "\n".join(
        text for text in (_overfitting_text(history), _without_gradient_text(history), _data_wait_text(history)) if text
    )


def _without_gradient_text(history: RunHistory) -> str:
    if not history.without_gradient:
        return ""
    return tr(
        "No gradient has reached {n} of {all} trained layers, so they have not changed: {first}. Remove these "
        "attachments or use another method there; the layer tree marks them.",
        n=len(history.without_gradient),
        all=len(history.grad_norms),
        first=", ".join(sorted(history.without_gradient)[:2]),
    )


def _data_wait_text(history: RunHistory) -> str:
    if history.data_wait_share < _DATA_WAIT_THRESHOLD or history.ended is not None:
        return ""
    return tr(
        "Training spends {share} of the time waiting for images. Smaller image files, a faster disk or less "
        "augmentation speed it up.",
        share=format_percent(history.data_wait_share, 0),
    )


def _overfitting_text(history: RunHistory) -> str:
    point = find_overfit_point(tuple(history.epoch_loss.points()), tuple(history.validation_loss.points()))
    if point is None:
        return ""
    return tr(
        "The model is overfitting: the validation loss has risen by {share} since epoch {n:.0f}, while the training "
        "loss still falls. The best epoch is saved; stop here, or retry with stronger augmentation, fewer trained "
        "parameters, more weight decay or more images.",
        n=point.step / history.steps_per_epoch,
        share=format_percent(point.rise, 0),
    )
