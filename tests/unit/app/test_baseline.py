"""The baseline: a linear probe, cached, and measured again only after a change."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from studio.app import baseline
from studio.app.baseline import Baseline, cached_baseline, measure_baseline
from studio.backbones import loading
from studio.core.control import TrainControl
from studio.core.paths import resolve_path
from studio.core.recipe import Backbone, Data, Split, Transforms
from studio.data.dataset.dataset import build_index, dataset_for_split
from studio.data.images.file_index import Cancelled
from studio.evaluation import linear_probe as probe

MakeImages = Callable[..., Path]
STARTER = Backbone()


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEFT_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def data(tmp_path: Path, make_images: MakeImages) -> Data:
    for name in "abc":
        make_images(f"images/{name}", 12)
    return Data(path=str(tmp_path / "images"), split=Split(validation=0.25))


@pytest.mark.slow
def test_it_is_as_good_as_the_library_s_logistic_regression() -> None:
    digits = Data(path="bundled:digits")
    ours = measure_baseline(digits, STARTER, TrainControl())
    (x, y), (asked, truth) = _features(digits, "train"), _features(digits, "validation")
    assert (ours.classes, ours.images) == (10, len(y) + len(truth))
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    theirs = LogisticRegression(C=0.1, max_iter=500).fit((x - mean) / deviation, y)
    score = theirs.score((asked - mean) / deviation, truth)
    assert abs(ours.accuracy - score) < 0.03
    assert ours.accuracy > 0.8


def _features(data: Data, split: str) -> tuple[np.ndarray, np.ndarray]:
    module = loading.load_backbone(STARTER, 0)
    images = dataset_for_split(build_index(data), loading.resolve_preprocessing(module), split)  # type: ignore[arg-type]
    with torch.no_grad():
        return module(torch.stack([tensor for tensor, _, _ in images])).numpy(), images.labels.numpy()


def test_the_probe_separates_classes_by_color(data: Data) -> None:
    found = measure_baseline(data, STARTER, TrainControl())
    assert found.accuracy > 0.8
    assert (found.classes, found.images) == (3, 36)


def test_the_baseline_is_cached_until_images_or_overrides_change(
    data: Data, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cached_baseline(data, STARTER) is None
    first = measure_baseline(data, STARTER, TrainControl())
    calls: list[object] = []
    monkeypatch.setattr(probe, "linear_probe", lambda *given: calls.append(given) or (0.5, 7))
    assert cached_baseline(data, STARTER) == measure_baseline(data, STARTER, TrainControl()) == first
    augmented = data.model_copy(update={"transforms": Transforms(augmentation="light")})
    assert cached_baseline(augmented, STARTER) == first
    assert not calls
    assert cached_baseline(data.model_copy(update={"excluded": ("a/000.png",)}), STARTER) is None
    assert cached_baseline(data, STARTER.model_copy(update={"pretrained": False})) is None
    make_images("images/a", 13)
    assert measure_baseline(data, STARTER, TrainControl()).accuracy == 0.5
    assert len(calls) == 1


def test_it_can_be_stopped_and_keeps_nothing_then(data: Data) -> None:
    control = TrainControl()
    with pytest.raises(Cancelled):
        measure_baseline(data, STARTER, control, lambda *_: control.stop())
    assert cached_baseline(data, STARTER) is None


def test_it_tells_how_far_it_is(data: Data) -> None:
    told: list[tuple[str, int, int]] = []
    measure_baseline(data, STARTER, TrainControl(), lambda *given: told.append(given))
    assert told[-1] == ("baseline", 36, 36)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_many_images_are_not_all_looked_at(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MAX_TRAINING_IMAGES", 12), monkeypatch.setattr(probe, "MAX_VALIDATION_IMAGES", 5)
    monkeypatch.setattr(probe, "MIN_IMAGES_PER_CLASS", 5)
    assert measure_baseline(data, STARTER, TrainControl()).images == 15 + 5


def test_an_unreadable_image_is_left_out(data: Data) -> None:
    (resolve_path(data.path) / "a" / "003.png").write_bytes(b"")
    assert measure_baseline(data, STARTER, TrainControl()).images == 35


def test_damage_is_as_if_nothing_was_known(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "linear_probe", lambda *given: (0.5, 7))
    made = measure_baseline(data, STARTER, TrainControl())
    (file,) = (baseline.cache_dir() / "baselines").iterdir()
    for content in ("", "[]", "{}", json.dumps({"listed": "x"})):
        file.write_text(content)
        assert cached_baseline(data, STARTER) is None
    assert measure_baseline(data, STARTER, TrainControl()).accuracy == made.accuracy == 0.5
    assert isinstance(cached_baseline(data, STARTER), Baseline)


def test_reading_the_cache_imports_no_torch() -> None:
    code = "import sys, studio.app.baseline; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
