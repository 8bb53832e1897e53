"""The small parts of a training: schedule, optimiser, device, precision, journal, lock, progress."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from studio.core import events
from studio.core.control import TrainControl
from studio.core.errors import StudioError
from studio.core.layers import Layer, Role
from studio.core.recipe import Attachment, Training
from studio.core.run import Run
from studio.peft import attach
from studio.training import loss as objective
from studio.training import optimizer
from studio.training.backend import device, fused_attention, precision
from studio.training.ema import ModelEma
from studio.training.layer_decay import layer_lr_scales
from studio.training.lr_schedule import lr_factor
from studio.training.metrics import Metrics
from studio.training.run_io import environment
from studio.training.run_io.event_log import EventLogger
from studio.training.run_io.lock import is_locked, run_lock
from studio.training.train_state import TrainState


def test_the_rate_warms_up_and_follows_a_cosine_to_nearly_zero() -> None:
    factors = [lr_factor(step, 100, Training(warmup=0.1)) for step in range(100)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.001


def test_a_constant_rate_stays() -> None:
    factors = [lr_factor(step, 10, Training(warmup=0.2, schedule="constant")) for step in range(10)]
    assert factors == [pytest.approx(1 / 3), pytest.approx(2 / 3)] + [1.0] * 8


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_that_of_torch(warmup: float) -> None:
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(made, 1.0, total_steps=40, pct_start=warmup, cycle_momentum=False)
    for step in range(40):
        ours = lr_factor(step, 40, Training(warmup=warmup, schedule="one-cycle"))
        assert ours == pytest.approx(made.param_groups[0]["lr"], rel=1e-9)
        made.step()
        if step < 39:
            peer.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_short_training_has_a_rate_too(steps: int) -> None:
    assert all(0 < lr_factor(step, steps, Training(warmup=0.9)) <= 1 for step in range(steps))
    one_cycle = Training(warmup=0.9, schedule="one-cycle")
    assert all(0 < lr_factor(step, steps, one_cycle) <= 1 for step in range(steps))


def test_balanced_weights_let_each_class_count_the_same() -> None:
    classes = torch.tensor([0] * 8 + [1] * 2)
    weights = objective.balanced_class_weights(classes, 3)
    assert [float(weights[classes][classes == c].sum()) for c in (0, 1)] == pytest.approx([5.0, 5.0])
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    made = objective.ClassificationLoss(Training(class_weights="balanced"), 3, classes, torch.device("cpu"))
    plain = -logits.log_softmax(1)[torch.arange(10), classes]
    assert made(logits, classes) == pytest.approx(float((weights[classes] * plain).mean()))


def test_images_made_of_two_count_for_both_classes_by_their_shares() -> None:
    classes, others, shares = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 0]), torch.tensor([0.7, 1.0, 0.5])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    made = objective.ClassificationLoss(Training(mixup=0.2), 3, classes, torch.device("cpu"))
    soft = torch.zeros(3, 3).scatter_add_(1, classes[:, None], shares[:, None])
    soft.scatter_add_(1, others[:, None], 1 - shares[:, None])
    assert made(logits, classes, (others, shares)) == pytest.approx(float(nn.functional.cross_entropy(logits, soft)))


def test_layers_further_from_the_classifier_train_slower() -> None:
    rows = [("", None), ("stem", None), ("blocks", None), ("blocks.0", 0), ("blocks.0.fc", 0), ("down", None)]
    rows += [("blocks.1", 1), ("norm", None), ("head", None)]
    layers = [Layer(path, "", "", Role.OTHER, 0, 0, block=block) for path, block in rows]
    scales = {f"x/{path}/weight": 2.0 for path, _ in rows}
    found = layer_lr_scales(scales, layers, 0.5)
    assert list(found.values()) == [2.0, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 2.0]


def _named() -> list[tuple[str, nn.Parameter]]:
    torch.manual_seed(0)
    return [
        ("a", nn.Parameter(torch.randn(3, 4))),
        ("b", nn.Parameter(torch.randn(3))),
        ("c", nn.Parameter(torch.randn(4, 2))),
    ]


def _step(named: list[tuple[str, nn.Parameter]], made: torch.optim.Optimizer, count: int) -> None:
    for number in range(count):
        for _, parameter in named:
            parameter.grad = torch.sin(parameter.detach() * (number + 2))
        optimizer.set_lr(made, 0.1 / (number + 1))
        made.step()


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_an_optimiser_goes_on_from_its_named_tensors(kind: str) -> None:
    training = Training(optimizer=kind)  # type: ignore[arg-type]
    first, second = _named(), _named()
    whole, part = (optimizer.build_optimizer(named, {"c": 4.0}, training) for named in (first, second))
    _step(first, whole, 3), _step(second, part, 3)
    saved = {name: tensor.clone() for name, tensor in optimizer.state_tensors(part, second).items()}
    fresh = optimizer.build_optimizer(second, {"c": 4.0}, training)
    optimizer.load_state_tensors(fresh, second, saved)
    _step(first, whole, 2), _step(second, fresh, 2)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))


def test_matrices_alone_are_decayed_and_rates_scaled() -> None:
    named = _named()
    made = optimizer.build_optimizer(named, {"c": 4.0}, Training(weight_decay=0.5))
    optimizer.set_lr(made, 0.1)
    groups = {id(p): group for group in made.param_groups for p in group["params"]}
    found = {name: (groups[id(p)]["weight_decay"], groups[id(p)]["lr"]) for name, p in named}
    assert found == {"a": (0.5, 0.1), "b": (0.0, 0.1), "c": (0.5, 0.4)}


def test_gradients_are_scaled_down_to_the_norm_or_left_alone() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    parameter.grad = torch.full((4,), 3.0)
    assert optimizer.clip_grad_norm([parameter], 0.0).item() == 6.0
    assert parameter.grad.norm().item() == 6.0
    optimizer.clip_grad_norm([parameter], 1.5)
    assert parameter.grad.norm().item() == pytest.approx(1.5)


def test_devices() -> None:
    assert device.resolve_device("cpu") == torch.device("cpu")
    assert device.resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("toaster", "meta", "cuda:63"):
        with pytest.raises(StudioError, match=name):
            device.resolve_device(name)


@pytest.mark.parametrize(
    ("hardware", "gain", "expected"),
    [(True, 2.0, "bfloat16"), (True, 1.0, "float32"), (False, 9.0, "float32")],
)
def test_auto_needs_the_hardware_and_a_measured_gain(
    monkeypatch: pytest.MonkeyPatch, hardware: bool, gain: float, expected: str
) -> None:
    monkeypatch.setattr(precision, "supports_bfloat16", lambda _: hardware)
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda _: gain)
    cpu = torch.device("cpu")
    assert precision.resolve_precision("auto", cpu) == expected
    assert precision.resolve_precision("float32", cpu) == "float32"
    assert precision.resolve_precision("bfloat16", cpu) == "bfloat16"


def test_the_gain_is_measured() -> None:
    cpu = torch.device("cpu")
    if precision.supports_bfloat16(cpu):
        assert 0.05 < precision.bfloat16_speedup(cpu) < 50


def test_a_cut_last_line_stays_alone(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "warning", "time": 1, "text": "whole"}\n{"event": "warn')
    with EventLogger(tmp_path) as journal:
        journal.write(events.Warning(text="café \udce9"))
    assert [event.text for event in Run(tmp_path).events() if isinstance(event, events.Warning)] == ["whole", "café ?"]
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith("  Warning: café ?\n")


def test_the_lock_ends_with_its_block(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(StudioError, match="trained already"), run_lock(tmp_path):
            pass
        with pytest.raises(StudioError, match="trained already"), run_lock(tmp_path):
            pass
    assert not is_locked(tmp_path)
    with run_lock(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything can be written here")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StudioError, match="cannot be written"), run_lock(tmp_path):
        pass


def test_a_read_only_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StudioError, match=r"cannot be written to .*: Read-only file system"), run_lock(tmp_path):
        pass


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="cannot be written"), run_lock(tmp_path / "gone"):
        pass


def test_control_from_another_thread() -> None:
    control = TrainControl()
    assert not control.stopping
    thread = threading.Thread(target=control.stop)
    thread.start()
    thread.join()
    assert control.stopping


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


def test_the_best_is_by_loss_where_asked_for() -> None:
    progress = TrainState()
    results = [(0.5, 1.0), (0.9, 1.0), (0.4, 0.9), (0.9, 0.95), (0.9, float("nan"))]
    found = [progress.update_best(_metrics(*result), epoch, "loss") for epoch, result in enumerate(results)]
    assert found == [True, False, True, False, False]
    assert (progress.best_accuracy, progress.best_epoch) == (0.4, 2)


def test_an_accuracy_of_zero_can_be_the_best() -> None:
    assert TrainState().update_best(_metrics(0.0, 3.0), 0)


def test_the_average_follows_the_formula_and_steps_in_for_a_while() -> None:
    torch.manual_seed(0)
    attached = attach(nn.Sequential(nn.Linear(3, 3)), [Attachment(name="x", method="bitfit", at=("0",))], head=False)
    (name, bias), = attached.named_parameters()  # fmt: skip
    made, expected = ModelEma(attached, 0.5), bias.detach().clone()
    for step in range(20):
        with torch.no_grad():
            bias.add_(torch.randn(3))
        made.update(step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * bias.detach()
    assert torch.allclose(made.tensors[name], expected)
    trained = bias.detach().clone()
    with made.swapped_in():
        assert torch.equal(bias, made.tensors[name])
    assert torch.equal(bias, trained)


def test_what_changed_between_two_environments_is_said() -> None:
    now = environment.collect_environment(torch.device("cpu"), "float32", "hash")
    before = now | {"threads": 64, "packages": now["packages"] | {"torch": "1.0"}}
    assert environment.environment_changes(now, now) == []
    assert environment.environment_changes(before, now) == [
        f"threads was 64 and is {now['threads']}",
        f"torch was 1.0 and is {now['packages']['torch']}",
    ]


@pytest.mark.parametrize(
    ("precision", "size", "fused"), [("bfloat16", 32, False), ("float32", 32, True), ("bfloat16", 544, True)]
)
def test_attention_is_plain_where_the_fused_kernel_is_slow(precision: Any, size: int, fused: bool) -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=size, embed_dim=16, depth=2, num_heads=2).eval()
    images = torch.randn(1, 3, size, size)
    with torch.no_grad():
        before = vit(images)
        fused_attention.set_fused_attention(vit, torch.device("cpu"), precision)
        assert [block.attn.fused_attn for block in vit.blocks] == [fused] * 2
        assert torch.allclose(vit(images), before, atol=1e-5)
