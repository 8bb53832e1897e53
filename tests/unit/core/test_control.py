"""Stopping a training from another thread."""

import threading

from studio.core.control import TrainControl


def test_control_from_another_thread() -> None:
    control = TrainControl()
    assert not control.stopping
    thread = threading.Thread(target=control.stop)
    thread.start()
    thread.join()
    assert control.stopping
