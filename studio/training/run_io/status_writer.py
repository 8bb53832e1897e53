"""``status.json``: where a run stands, for whoever lists runs without reading their events."""

import math

from studio.core import events
from studio.core.run import Run


class StatusWriter:
    """Follows a run's events, and writes the status when it changes for a reader: not at every step."""

    def __init__(self, run: Run, epochs: int) -> None:
        self._run = run
        self._values = {**run.status, "state": "running", "epochs": epochs, "text": "", **_resource_estimate(run)}

    def update(self, event: events.Event) -> None:
        """Take an event in."""
        match event:
            case events.Started():
                self._set(step=event.step, steps=event.steps, device=event.device, begun=event.time)
            case events.Epoch():
                self._set(step=event.step, epoch=event.epoch)
            case events.Evaluation():
                self._set(accuracy=event.accuracy, loss=event.loss if math.isfinite(event.loss) else None)
                if event.best:
                    self._set(best_accuracy=event.accuracy, best_epoch=event.epoch)
            case events.Paused():
                self._set(state="paused", step=event.step)
            case events.Resumed():
                self._set(state="running")
            case events.ResourceUsage():
                self._set(took=_resource_values(event))
            case events.Error():
                self._set(state="failed", text=event.text)
            case events.Finished():
                self._set(state=event.reason, step=event.step, seconds=event.seconds, waited=event.waited)

    def _set(self, **values: object) -> None:
        self._values |= values
        self._run.write_status(**self._values)


def _resource_estimate(run: Run) -> dict[str, object]:
    """What was measured before the training, for comparison with what it took."""
    last = next((event for event in reversed(run.events()) if isinstance(event, events.ResourceEstimate)), None)
    return {"expected": _resource_values(last)} if last else {}


def _resource_values(event: events.ResourceEstimate | events.ResourceUsage) -> dict[str, object]:
    return {"peak_memory_bytes": event.peak_memory_bytes, "seconds_per_epoch": event.seconds_per_epoch}
