"""EMA smoothing against a plain loop as in TensorBoard."""

import math
import time

import numpy as np
import pytest

from studio.ui.shared.ema_smoothing import ema_smooth


def smooth_by_loop(values, weight):
    last, count, smoothed = 0.0, 0, []
    for value in values:
        if math.isfinite(value):
            last, count = weight * last + (1 - weight) * value, count + 1
            smoothed.append(last / (1 - weight**count))
        else:
            smoothed.append(value)
    return smoothed


@pytest.mark.parametrize("weight", [0.1, 0.6, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("count", [1, 2, 37, 5000])
def test_smoothing_equals_the_loop(weight, count):
    values = np.random.default_rng(count).normal(3, 2, count)
    assert ema_smooth(values, weight) == pytest.approx(smooth_by_loop(values, weight), rel=1e-9, abs=1e-9)


def test_a_constant_stays_constant_from_its_first_point():
    assert ema_smooth([2.5] * 100, 0.95) == pytest.approx([2.5] * 100)


def test_without_weight_nothing_changes():
    assert ema_smooth([1.0, 5.0], 0.0).tolist() == [1.0, 5.0]


def test_values_that_are_not_finite_stay_and_are_skipped():
    values = [1.0, math.nan, 3.0, math.inf, 2.0]
    assert ema_smooth(values, 0.5) == pytest.approx(smooth_by_loop(values, 0.5), nan_ok=True)


def test_no_points_give_no_points():
    assert len(ema_smooth([], 0.9)) == 0


def test_a_million_points_take_less_than_half_a_second():
    values = np.random.default_rng(0).normal(size=1_000_000)
    start = time.process_time()
    ema_smooth(values, 0.9)
    assert time.process_time() - start < 0.5
