"""Predictions for each image of a split."""

from pathlib import Path

import pytest

from studio.app import training
from studio.app.prediction import predict
from studio.core.control import TrainControl
from studio.evaluation import evaluate
from studio.evaluation.predictions import predict_split
from tests.unit.conftest import MakeRecipe


def test_each_image_has_its_loss_and_all_together_give_the_metrics(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    run = training.create_run(make_recipe(epochs=1), tmp_path / "run")
    list(training.train(run, TrainControl()))
    found = predict_split(run)
    assert found.metrics == evaluate(run)
    assert len(found.images) == found.metrics.images == 6
    assert sum(one.is_correct for one in found.images) / 6 == pytest.approx(found.metrics.accuracy)
    assert sum(one.loss for one in found.images) / 6 == pytest.approx(found.metrics.loss, rel=1e-5)
    for one in found.images:
        prediction = predict(run.path, [one.path])[0]
        assert prediction.top_k(1)[0] == (run.labels[one.predicted], pytest.approx(one.predicted_probability, abs=1e-5))
        assert prediction.probabilities[run.labels[one.label]] == pytest.approx(one.label_probability, abs=1e-5)
        assert run.labels[one.label] == one.path.parent.name
