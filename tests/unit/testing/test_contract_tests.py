"""The contract tests fail for methods with one fault each, and accept a plugin's own family."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from studio.core.layers import Layer, Role
from studio.peft import METHODS, AdaptedLayer, AttachmentSite, DefaultSites, Method, MethodConfig, MethodInfo
from studio.testing import test_attaching as attaching
from studio.testing import test_describing as describing
from studio.testing import test_merging as merging
from studio.testing import test_running as running
from studio.testing import test_saving as saving
from studio.testing.cases import Case

CASE = Case("faulty", "vit")


class Shift(AdaptedLayer):
    """y = base(x) + B A x, correctly; each fault is a subclass."""

    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base)
        out, features = site.layer.shape
        self.A = nn.Parameter(torch.randn(2, features, **site.factory_kwargs))
        self.B = nn.Parameter(torch.zeros(out, 2, **site.factory_kwargs))

    def forward_adapted(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + x @ self.A.T @ self.B.T

    def merged_module(self, base: nn.Module) -> nn.Module:
        base.weight = nn.Parameter(base.weight.detach() + self.B.detach() @ self.A.detach())
        return base


class Dead(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        nn.init.zeros_(self.A)


class Unused(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        self.spare = nn.Parameter(torch.ones(1, **site.factory_kwargs))


class NotIdentity(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        nn.init.constant_(self.B, 1e-4)


class WritesTheBase(Shift):
    def forward_adapted(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.unwrapped.weight.mul_(1.001)
        return super().forward_adapted(x)


class HidesATensor(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        self.register_buffer("hidden", torch.randn(site.layer.shape[1], **site.factory_kwargs), persistent=False)

    def forward_adapted(self, x: Tensor) -> Tensor:
        return super().forward_adapted(x * self.hidden) - self.base_layer(x * self.hidden) + self.base_layer(x)


class MergesWrongly(Shift):
    def merged_module(self, base: nn.Module) -> nn.Module:
        base.weight = nn.Parameter(base.weight.detach() + 1.01 * self.B.detach() @ self.A.detach())
        return base


class LeavesAMark(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        base.marked = True


class CountsByValue(Shift):
    def __init__(self, base: nn.Module, site: AttachmentSite[MethodConfig]) -> None:
        super().__init__(base, site)
        if site.factory_kwargs["device"].type != "meta":
            self.extra = nn.Parameter(torch.zeros(1, **site.factory_kwargs))


def method(layer: type[AdaptedLayer]) -> Method[MethodConfig]:
    class Faulty(Method[MethodConfig]):
        """A method with one fault."""

        name, label, family, summary, paper = "faulty", "Faulty", "low rank", "This method has one fault.", "none"
        Config = MethodConfig
        default_sites = (DefaultSites((Role.QKV,)),)

        def unsupported_reason(self, layer: Layer, config: MethodConfig, slices: tuple[str, ...]) -> str:
            return "" if layer.kind == "linear" else "This is not a linear layer."

        def attach(self, site: AttachmentSite[MethodConfig]) -> None:
            site.replace(lambda base: layer(base, site))

    return Faulty()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[AdaptedLayer]], None]:
    assert METHODS.get("lora")
    return lambda layer: monkeypatch.setitem(METHODS._items, "faulty", method(layer))


TESTS: dict[str, Callable[[Case, Path], None]] = {
    "identity": lambda case, _: attaching.test_identity_at_the_start(case),
    "gradients": lambda case, _: attaching.test_every_trainable_tensor_has_a_gradient_within_two_steps(case),
    "changes": lambda case, _: attaching.test_only_declared_tensors_change(case),
    "detach": lambda case, _: attaching.test_detach_restores_the_module_tree(case),
    "counts": lambda case, _: attaching.test_the_count_is_the_same_on_the_meta_device(case),
    "merging": lambda case, _: merging.test_merged_is_unmerged(case),
    "saving": saving.test_saved_and_loaded_bit_for_bit,
    "autocast": lambda case, _: running.test_bfloat16_autocast(case),
}
FAULTS = {
    "gradients": [Dead, Unused],
    "identity": [NotIdentity],
    "changes": [WritesTheBase],
    "detach": [WritesTheBase, LeavesAMark],
    "saving": [HidesATensor],
    "merging": [MergesWrongly],
    "counts": [CountsByValue],
}


@pytest.mark.parametrize("test", TESTS)
def test_a_correct_method_passes(test: str, install: Callable[[type], None], tmp_path: Path) -> None:
    install(Shift)
    torch.manual_seed(0)
    TESTS[test](CASE, tmp_path)


@pytest.mark.parametrize(
    ("test", "fault"), [(t, f) for t, faults in FAULTS.items() for f in faults], ids=lambda v: getattr(v, "__name__", v)
)
def test_a_fault_makes_its_test_fail(
    test: str, fault: type[AdaptedLayer], install: Callable[[type], None], tmp_path: Path
) -> None:
    install(fault)
    with pytest.raises(AssertionError):
        TESTS[test](CASE, tmp_path)


def test_a_plugin_may_have_a_family_of_its_own() -> None:
    plugin = method(Shift)
    type(plugin).family = "spectral"
    describing.test_it_is_described(plugin)
    assert plugin.info.diagram == "beside"


def test_a_method_without_display_properties_gets_them_from_its_class() -> None:
    class Plain(Method[MethodConfig]):
        """A method of a plugin."""

        name, label, family, summary, paper = "plain", "Plain", "spectral", "It does nothing at all.", "none"
        Config = MethodConfig
        default_sites = ()

        def unsupported_reason(self, layer: Layer, config: MethodConfig, slices: tuple[str, ...]) -> str:
            return ""

        def attach(self, site: AttachmentSite[MethodConfig]) -> None:
            raise NotImplementedError

    assert Plain.info == MethodInfo("A method of a plugin.", "after")
    assert Plain().info.short_text(MethodConfig()) == ""
