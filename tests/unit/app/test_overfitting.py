"""When the curves say that a network learns its training images by heart."""

import pytest

from studio.ui.pages.train.overfitting import find_overfit_point


def points(*losses, first=1):
    return [(10 * (number + first), loss) for number, loss in enumerate(losses)]


FALLING = points(1.0, 0.8, 0.6, 0.4, 0.2)


def test_it_is_told_where_validation_turned_and_by_how_much():
    found = find_overfit_point(FALLING, points(1.1, 0.9, 0.8, 0.9, 1.0))
    assert found.step == 30
    assert found.rise == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        (FALLING, points(1.1, 0.9, 0.8, 0.7, 0.6)),  # both fall
        (FALLING, points(1.1, 0.9, 0.8, 0.7, 0.9)),  # one worse validation may be chance
        (FALLING, points(1.1, 0.9, 0.800, 0.801, 0.802)),  # a rise that nobody can see
        (points(1.0, 0.8, 0.6, 0.9, 1.2), points(1.1, 0.9, 0.8, 0.9, 1.0)),  # training rises too: that is divergence
        (points(0.5, 0.4), points(1.0, 1.5)),  # too early to tell
        ([], []),
    ],
)
def test_nothing_is_said_without_reason(training, validation):
    assert find_overfit_point(training, validation) is None


def test_a_network_that_was_best_before_training_is_not_overfitting():
    assert find_overfit_point(FALLING, points(0.5, 0.9, 1.0, 1.1, first=0)) is None
