"""Curves and state of a run from its events."""

import math

import pytest

from studio.core import events
from studio.ui.pages.train.run_history import RunHistory


def started(step, time=0.0):
    return events.Started(
        time=time,
        step=step,
        steps=10,
        epochs=2,
        training_images=10,
        validation_images=2,
        trainable_parameters=1,
        total_parameters=2,
        device="cpu",
    )


def step(number, loss, time=0.0):
    return events.Step(
        time=time, step=number, epoch=1, loss=loss, accuracy=0.5, learning_rate=0.1, images_per_second=1.0
    )


def evaluation(number, accuracy, best):
    return events.Evaluation(epoch=1, step=number, split="validation", loss=1.0, accuracy=accuracy, best=best)


def test_a_killed_and_resumed_run_has_each_step_once():
    history = RunHistory()
    history.apply([started(0), *(step(i, float(i)) for i in range(1, 6)), evaluation(5, 0.9, True)])
    history.apply([started(3)])
    assert list(history.training_loss.x) == [1, 2, 3]
    assert list(history.throughput.x) == [1, 2, 3]
    assert list(history.validation_accuracy.x) == []
    assert history.best_evaluation is None
    history.apply([step(4, 40.0), step(5, 50.0), evaluation(5, 0.8, True)])
    assert list(history.training_loss.x) == [1, 2, 3, 4, 5]
    assert list(history.training_loss.y[3:]) == [40.0, 50.0]
    assert history.best_evaluation.accuracy == 0.8


def test_a_run_that_rolled_back_has_each_step_once():
    history = RunHistory()
    history.apply([started(0), *(step(i, float(i)) for i in range(1, 6)), step(3, 30.0)])
    assert list(history.training_loss.x) == [1, 2, 3]
    assert list(history.training_loss.y) == [1.0, 2.0, 30.0]


def test_the_time_left_ignores_pauses():
    history = RunHistory()
    history.apply([started(0), step(1, 1.0, time=10.0), step(2, 1.0, time=20.0)])
    assert history.seconds_left == pytest.approx(80)
    history.apply([events.Paused(time=20.0, step=2)])
    assert history.paused
    history.apply([events.Resumed(time=1020.0, step=2), step(3, 1.0, time=1030.0)])
    assert not history.paused
    assert history.seconds_left == pytest.approx(70)


def test_keys_without_a_gradient_are_listed_until_they_have_one():
    history = RunHistory()
    assert history.without_gradient == frozenset()
    history.apply([events.GradNorms(step=1, norms={"a/q": 0.0, "a/k": 2.0})])
    assert history.without_gradient == {"a/q"}
    history.apply([events.GradNorms(step=9, norms={"a/q": 0.1, "a/k": 0.0})])
    assert history.without_gradient == frozenset()
    assert history.grad_norms == {"a/q": 0.1, "a/k": 0.0}


def test_an_empty_history_has_no_figures():
    history = RunHistory()
    assert history.progress == 0
    assert math.isnan(history.seconds_left)
    assert history.steps_per_epoch == 1
