"""A run's events as curves."""

from studio.core import events
from studio.ui.history import History


def started(step):
    return events.Started(
        step=step,
        steps=10,
        epochs=1,
        training_images=10,
        validation_images=2,
        trainable_parameters=1,
        total_parameters=2,
        device="cpu",
    )


def step(number, loss):
    return events.Step(step=number, epoch=1, loss=loss, accuracy=0.5, learning_rate=0.1, images_per_second=1.0)


def evaluation(number, accuracy, best):
    return events.Evaluation(epoch=1, step=number, split="validation", loss=1.0, accuracy=accuracy, best=best)


def test_a_run_that_was_killed_and_resumed_draws_each_step_once():
    history = History()
    history.take([started(0), *(step(i, float(i)) for i in range(1, 6)), evaluation(5, 0.9, True)])
    history.take([started(3)])
    assert history.training_loss.x == [1, 2, 3]
    assert history.validation_accuracy.x == []
    assert history.best is None
    history.take([step(4, 40.0), step(5, 50.0), evaluation(5, 0.8, True)])
    assert history.training_loss.x == [1, 2, 3, 4, 5]
    assert history.training_loss.y[3:] == [40.0, 50.0]
    assert history.best.accuracy == 0.8


def test_a_run_that_went_back_after_broken_losses_draws_each_step_once():
    history = History()
    history.take([started(0), *(step(i, float(i)) for i in range(1, 6)), step(3, 30.0)])
    assert history.training_loss.x == [1, 2, 3]
    assert history.training_loss.y == [1.0, 2.0, 30.0]
