"""The event log."""

from pathlib import Path

from studio.core import events
from studio.core.run import Run
from studio.training.run_io.event_log import EventLogger


def test_a_cut_last_line_stays_alone(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "warning", "time": 1, "text": "whole"}\n{"event": "warn')
    with EventLogger(tmp_path) as event_log:
        event_log.write(events.Warning(text="café \udce9"))
    assert [event.text for event in Run(tmp_path).events() if isinstance(event, events.Warning)] == ["whole", "café ?"]
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith("  Warning: café ?\n")
