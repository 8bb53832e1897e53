"""Lanes: work in the background."""

import threading
import time

import pytest

from studio.core.errors import StudioError
from studio.ui.services.background import FrameScheduler, WorkerThread
from studio.ui.services.error_text import error_message


@pytest.fixture
def lane(qapp):
    made = WorkerThread("a lane")
    yield made
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "a lane"]


def test_work_runs_elsewhere_and_is_answered_here(lane, qtbot):
    answers = []
    lane.submit(threading.get_ident, lambda ident: answers.append((ident, threading.get_ident())))
    qtbot.waitUntil(lambda: bool(answers))
    worker, here = answers[0]
    assert worker != here == threading.get_ident()


def test_only_the_newest_waiting_request_of_a_key_is_worked_on(lane, qtbot):
    gate, answers = threading.Event(), []
    lane.submit(gate.wait)
    for number in range(5):
        lane.submit(lambda number=number: number, answers.append, key="count")
    gate.set()
    qtbot.waitUntil(lambda: bool(answers))
    qtbot.wait(20)
    assert answers == [4]


def test_errors_are_answered_too(lane, qtbot):
    failures = []

    def fail():
        raise StudioError("refused", "No.")

    lane.submit(fail, failed=failures.append)
    qtbot.waitUntil(lambda: bool(failures))
    assert error_message(failures[0]) == "No."
    assert "ValueError" in error_message(ValueError("x"))


def test_a_turn_that_fails_is_not_taken_again_and_others_follow(qapp, qtbot):
    turns, done = FrameScheduler(), []
    with qtbot.captureExceptions() as raised:
        turns.schedule("bad", lambda: 1 / 0)
        qtbot.waitUntil(lambda: bool(raised))
        qtbot.wait(3 * FrameScheduler.TICK_MS)
        turns.schedule("good", lambda: done.append(1))
        qtbot.waitUntil(lambda: bool(done))
    assert [kind for kind, _, _ in raised] == [ZeroDivisionError]


def test_work_with_an_interval_waits_for_it_and_other_work_does_not(qtbot):
    scheduler, times = FrameScheduler(), []
    for _ in range(2):
        scheduler.schedule("curves", lambda: times.append(time.monotonic()), every=0.3)
        qtbot.waitUntil(lambda: bool(times), timeout=5000)
    other = []
    scheduler.schedule("other", lambda: other.append(time.monotonic()))
    qtbot.waitUntil(lambda: len(times) == 2, timeout=5000)
    assert times[1] - times[0] >= 0.29
    assert times[0] < other[0] < times[1]


def test_nothing_is_answered_after_closing(qapp, qtbot):
    lane, answers, gate = WorkerThread("a lane"), [], threading.Event()
    lane.submit(gate.wait, answers.append)
    gate.set()
    lane.close()
    qtbot.wait(20)
    assert answers == []


def test_five_thousand_signals_do_not_end_the_program(qapp):
    from PySide6.QtCore import QObject, Signal

    class Teller(QObject):
        told = Signal(object)

    teller, heard = Teller(), []
    teller.told.connect(heard.append)
    for number in range(5000):
        teller.told.emit(number)
    assert heard[-1] == 4999


def test_work_in_turns_is_done_once_a_tick_and_only_the_newest_of_a_name(qtbot):
    turns, done = FrameScheduler(), []
    for number in range(3):
        turns.schedule("a", lambda number=number: done.append(("a", number)))
    turns.schedule("b", lambda: done.append(("b", 0)))
    assert done == []
    qtbot.waitUntil(lambda: len(done) == 2, timeout=5000)
    assert done == [("a", 2), ("b", 0)]
