"""What the command line does when it is asked to end."""

import os
import signal

import pytest

from studio.cli.console import stop_on_signals
from studio.core.control import TrainControl


@pytest.mark.skipif(os.name == "nt", reason="a process there cannot be sent signals")
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_and_ctrl_c_after_it_interrupts(asked: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    control = TrainControl()
    with stop_on_signals(control):
        os.kill(os.getpid(), asked)
        assert control.stopping
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
