"""The best epoch, and the state as JSON."""

from studio.training.metrics import Metrics
from studio.training.train_state import TrainState


def _metrics(accuracy: float, loss: float) -> Metrics:
    return Metrics("validation", 10, accuracy, loss, (), ())


def test_the_best_is_by_accuracy_and_then_by_loss() -> None:
    progress = TrainState()
    results = [(0.5, 1.0), (0.5, 1.0), (0.5, 0.9), (0.4, 0.1), (0.6, 5.0), (0.9, float("nan"))]
    assert [progress.update_best(_metrics(*result), epoch) for epoch, result in enumerate(results)] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    assert (progress.best_accuracy, progress.best_loss, progress.best_epoch) == (0.6, 5.0, 4)
    assert TrainState.from_json(progress.as_json()) == progress


def test_the_best_is_by_loss_if_requested() -> None:
    progress = TrainState()
    results = [(0.5, 1.0), (0.9, 1.0), (0.4, 0.9), (0.9, 0.95), (0.9, float("nan"))]
    found = [progress.update_best(_metrics(*result), epoch, "loss") for epoch, result in enumerate(results)]
    assert found == [True, False, True, False, False]
    assert (progress.best_accuracy, progress.best_epoch) == (0.4, 2)


def test_an_accuracy_of_zero_can_be_the_best() -> None:
    assert TrainState().update_best(_metrics(0.0, 3.0), 0)


def test_a_state_of_another_version_is_read() -> None:
    raw = TrainState(epoch=3, step=12, parts=2).as_json()
    del raw["slowing"]
    assert TrainState.from_json(raw | {"added_later": 1}) == TrainState(epoch=3, step=12, parts=2)
