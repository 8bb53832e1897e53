"""Metrics against numbers worked out by hand."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from studio.training.metrics import MetricAccumulator

# True classes, and the class found for each image.
TRUE = torch.tensor([0, 0, 0, 1, 1, 2])
FOUND = torch.tensor([0, 0, 1, 1, 0, 1])


def _logits() -> torch.Tensor:
    return 3 * torch.nn.functional.one_hot(FOUND, 4).float()


def test_by_hand() -> None:
    tally = MetricAccumulator(["cat", "dog", "bird", "none"])
    tally.update(_logits(), TRUE)
    metrics = tally.compute("test")
    assert (metrics.split, metrics.images) == ("test", 6)
    assert metrics.accuracy == 3 / 6
    assert metrics.loss == pytest.approx(cross_entropy(_logits(), TRUE).item())
    assert metrics.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))
    cat, dog, bird, none = metrics.per_class
    assert (cat.label, cat.images, cat.precision, cat.recall, cat.f1) == ("cat", 3, 2 / 3, 2 / 3, 2 / 3)
    assert (dog.images, dog.precision, dog.recall, dog.f1) == (2, 1 / 3, 1 / 2, pytest.approx(0.4))
    assert (bird.images, bird.precision, bird.recall, bird.f1) == (1, 0, 0, 0)
    assert (none.images, none.precision, none.recall, none.f1) == (0, 0, 0, 0)


def test_in_parts_as_in_one() -> None:
    whole, parts = MetricAccumulator("abcd"), MetricAccumulator("abcd")
    whole.update(_logits(), TRUE)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        parts.update(_logits()[rows], TRUE[rows])
    assert parts.compute("x").confusion == whole.compute("x").confusion
    assert parts.compute("x").loss == pytest.approx(whole.compute("x").loss)


def test_nothing_was_added() -> None:
    metrics = MetricAccumulator("ab").compute("x")
    assert (metrics.images, metrics.accuracy, metrics.loss) == (0, 0.0, 0.0)


def test_json_has_what_the_contract_says() -> None:
    tally = MetricAccumulator("abcd")
    tally.update(_logits(), TRUE)
    raw = tally.compute("validation").as_json()
    assert raw.keys() == {"split", "images", "accuracy", "loss", "per_class", "confusion"}
    assert raw["per_class"][0]["label"] == "a"
