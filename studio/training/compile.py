"""torch.compile, with a fallback to eager mode if compilation fails."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from studio.core.messages import N_, Message
from studio.training.inputs import Network


class CompiledModel:
    """A network that runs compiled with gradients, and eagerly without.

    ``warn`` is told why compilation failed.
    """

    def __init__(
        self,
        network: Network,
        parameters: Sequence[nn.Parameter],
        warn: Callable[[Message], None],
        compiler: Callable[[Network], Network] = torch.compile,
    ) -> None:
        self._network, self._parameters, self._warn = network, parameters, warn
        self._compiled: Network | None = compiler(network)
        self._compile_attempted = False

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits (N, C)."""
        if not torch.is_grad_enabled():
            return self._network(inputs)
        if not self._compile_attempted:
            self._try_compile(inputs)
        return (self._compiled or self._network)(inputs)

    def _try_compile(self, inputs: Tensor) -> None:
        """Compile forward and backward now.

        A failure within a real backward pass could not be undone.
        """
        self._compile_attempted = True
        assert self._compiled is not None
        devices = [inputs.device] if inputs.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices):
                torch.autograd.grad(self._compiled(inputs).float().sum(), self._parameters, allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in every way
            self._compiled = None
            reason = str(error).strip().split("\n")[0].rstrip(".")[:200] or type(error).__name__
            self._warn(
                N_("The backbone cannot be compiled: {reason}. Training continues without compilation.", reason=reason)
            )
