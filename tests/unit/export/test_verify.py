"""Verification: tolerances in either precision, discarded exports, and slow or large ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studio.core.errors import StudioError
from studio.core.run import Run
from studio.export import EXPORTERS, Exporter, export, verify
from studio.export.merged import MergedExporter
from tests.unit.export.conftest import MakeSource

FORMATS = [exporter.name for exporter in EXPORTERS]
QKV = {"name": "l", "method": "lora", "at": ["blocks.*.attn.qkv"], "slices": ["q"], "rank": 2, "alpha": 2.0}


def shift_logits(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Shift every export's logits by this share of the largest one (at least 1)."""
    load = verify._run_predict_script

    def shifted(exporter: Exporter, folder: Path, batches: list[list[Path]]) -> verify._ExportLogits:
        found = load(exporter, folder, batches)
        logits = found.logits + share * found.logits.abs().max().clamp_min(1)
        return verify._ExportLogits(logits, found.loaded_with)

    monkeypatch.setattr(verify, "_run_predict_script", shifted)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("form", FORMATS)
def test_float16_has_its_own_tolerance(form: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single = export(run, form, tmp_path / "single")
    half = export(run, form, tmp_path / "half", precision="float16")
    exporter = EXPORTERS.get(form)
    assert half.precision == "float16"
    assert single.largest_difference < half.largest_difference <= half.tolerance
    assert half.tolerance == pytest.approx(exporter.float16_relative_tolerance * max(1, half.largest_logit))
    assert single.tolerance == pytest.approx(exporter.relative_tolerance * max(1, single.largest_logit))

    shift_logits(monkeypatch, 3 * exporter.float16_relative_tolerance)
    with pytest.raises(StudioError) as raised:
        export(run, form, tmp_path / "refused", precision="float16")
    assert raised.value.code == "export-differs"
    assert sorted(path.name for path in tmp_path.glob("*refused*")) == []


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_fails_verification_leaves_nothing_behind(
    form: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift_logits(monkeypatch, 3 * EXPORTERS.get(form).relative_tolerance)
    with pytest.raises(StudioError) as raised:
        export(run, form, tmp_path / "exports" / "refused")
    assert raised.value.code == "export-differs"
    assert raised.value.message.values["format"] == form
    assert list((tmp_path / "exports").iterdir()) == []


def test_verification_notices_an_export_without_the_adapter(make_source: MakeSource) -> None:
    source = make_source([QKV])
    batches = [verify.validation_images(source)]
    images = len(batches[0])
    live = verify._live_logits(source, batches, images)
    source.model.set_enabled("l", False)
    bare = verify._ExportLogits(verify._live_logits(source, batches, images), "")
    assert not verify._compare(MergedExporter(), source, live, bare).passed


def fake_script(monkeypatch: pytest.MonkeyPatch, live: torch.Tensor, before_batch: str) -> Callable[[Path], None]:
    """Return a writer of exports whose predict.py runs ``before_batch``, then returns the live model's logits."""

    def write(folder: Path) -> None:
        rows = live.tolist()
        (folder / "predict.py").write_text(
            f"import time\nrows = iter({rows!r})\ndone = 0\n\n\ndef logits(paths):\n"
            f"    global done\n    {before_batch}\n    done += len(paths)\n    return [next(rows) for _ in paths]\n"
        )

    monkeypatch.setattr(MergedExporter, "predict_packages", ())
    return write


def test_both_sides_work_in_batches_of_the_run(
    make_source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source([QKV])
    training = source.recipe.training.model_copy(update={"batch_size": 2})
    object.__setattr__(source, "recipe", source.recipe.model_copy(update={"training": training}))
    sizes: list[int] = []
    source.model.module.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    paths = verify.validation_images(source)
    live = verify._live_logits(source, [paths], len(paths))
    sizes.clear()
    fake_script(monkeypatch, live, "assert len(paths) <= 2")(tmp_path)
    verification = verify.verify_export(MergedExporter(), source, tmp_path)
    assert verification.images == len(paths) == 6
    assert verification.passed
    assert sizes == [1, 2, 2, 1]


def test_a_slow_export_is_verified_on_the_images_that_are_done(
    make_source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source([QKV])
    paths = verify.validation_images(source)
    live = verify._live_logits(source, [paths], len(paths))
    fake_script(monkeypatch, live, "time.sleep(60 if done else 0)")(tmp_path)
    monkeypatch.setattr(verify, "_TIMEOUT", 5)
    verification = verify.verify_export(MergedExporter(), source, tmp_path)
    assert verification.images == 1
    assert verification.passed


def test_an_export_without_any_result_in_time_is_discarded(
    make_source: MakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source([QKV])
    fake_script(monkeypatch, torch.zeros(6, 3), "time.sleep(60)")(tmp_path)
    monkeypatch.setattr(verify, "_TIMEOUT", 2)
    with pytest.raises(StudioError) as raised:
        verify.verify_export(MergedExporter(), source, tmp_path)
    assert raised.value.code == "export-timeout"


def test_an_export_with_scores_of_another_shape_is_discarded(make_source: MakeSource) -> None:
    exported = verify._ExportLogits(torch.zeros(2, 4), "")
    with pytest.raises(StudioError) as raised:
        verify._compare(MergedExporter(), make_source([QKV]), torch.zeros(2, 3), exported)
    assert raised.value.code == "export-differs"


def test_a_line_cut_short_by_the_time_limit_is_ignored() -> None:
    assert verify._complete_lines(b'warning\n{"logits": [[1.0]]}\n{"logits": [[2') == ['{"logits": [[1.0]]}']
