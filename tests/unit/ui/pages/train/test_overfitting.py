"""Detection of overfitting from the loss curves."""

import pytest

from studio.ui.pages.train.overfitting import find_overfit_point


def points(*losses, first=1):
    return [(10 * (number + first), loss) for number, loss in enumerate(losses)]


FALLING = points(1.0, 0.8, 0.6, 0.4, 0.2)


def test_overfitting_starts_at_the_lowest_validation_loss():
    point = find_overfit_point(FALLING, points(1.1, 0.9, 0.8, 0.9, 1.0))
    assert point.step == 30
    assert point.rise == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        (FALLING, points(1.1, 0.9, 0.8, 0.7, 0.6)),  # both fall
        (FALLING, points(1.1, 0.9, 0.8, 0.7, 0.9)),  # one worse validation may be chance
        (FALLING, points(1.1, 0.9, 0.800, 0.801, 0.802)),  # an invisible rise
        (points(1.0, 0.8, 0.6, 0.9, 1.2), points(1.1, 0.9, 0.8, 0.9, 1.0)),  # training rises too: that is divergence
        (points(0.5, 0.4), points(1.0, 1.5)),  # too early
        ([], []),
    ],
)
def test_other_curves_are_not_overfitting(training, validation):
    assert find_overfit_point(training, validation) is None


def test_a_model_that_was_best_before_training_is_not_overfitting():
    assert find_overfit_point(FALLING, points(0.5, 0.9, 1.0, 1.1, first=0)) is None
