"""LayerNorm tuning as HF peft's LN_TUNING: the trained norms themselves."""

from collections.abc import Sequence

from torch import nn

from studio.peft.hf.form import ConvertedAdapter, PeftForm, PeftLayer
from studio.peft.hf.keys import PeftState, target_modules, tensor_key


class LNTuningForm(PeftForm):
    """LN_TUNING; norms that train beside adapters of another type go under ``modules_to_save``."""

    stores_parameters = True

    def __init__(self) -> None:
        super().__init__("LN_TUNING", {"ln_tuning_layers.weight": "weight", "ln_tuning_layers.bias": "bias"})

    def parameter_state(self, layers: Sequence[str], module: nn.Module, paths: Sequence[str]) -> PeftState | None:
        """Return the trained norms at ``layers``."""
        tensors = {
            tensor_key(path, f"ln_tuning_layers.{name}"): tensor.detach()
            for path in layers
            for name, tensor in module.get_submodule(path).named_parameters()
        }
        return PeftState(self.peft_type, {"target_modules": target_modules(layers, paths)}, tensors)

    def from_layer(self, given: PeftLayer) -> list[ConvertedAdapter]:
        """Return LayerNorm tuning of one norm."""
        own = {self.tensors[name]: tensor for name, tensor in given.tensors.items()}
        return [ConvertedAdapter(given.layer.path, "norm_tuning", (), {}, own)]
