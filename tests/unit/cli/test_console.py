"""Signals and progress on the command line."""

import os
import re
import signal
import time

import pytest

from studio.cli.console import ProgressBar, stop_on_signals
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


def test_a_progress_bar_prints_lines_with_the_time_left_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("Training", 1) as bar:
        bar.set_total(100, 40)
        for step in range(41, 71):
            bar.update(step, "loss 0.5")
            time.sleep(0.001)
        bar.print_line("epoch 1")
    err = capsys.readouterr().err
    assert re.fullmatch(r"Training: epoch 1( \(about 1 s left\))\n", err)
