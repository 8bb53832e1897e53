"""``status.json``: the state of a run, for lists of runs."""

import math

from studio.core import events
from studio.core.run import Run


class StatusWriter:
    """Updates the status from the events of a run; steps alone do not write it."""

    def __init__(self, run: Run, epochs: int) -> None:
        self._run = run
        self._values = {**run.status, "state": "running", "epochs": epochs, "text": "", **_resource_estimate(run)}

    def update(self, event: events.Event) -> None:
        """Apply an event."""
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
                self._set(state="failed", text=event.text, code=event.code)
            case events.Finished():
                self._set(state=event.reason, step=event.step, seconds=event.seconds, waited=event.waited)

    def _set(self, **values: object) -> None:
        self._values |= values
        self._run.write_status(**self._values)


def _resource_estimate(run: Run) -> dict[str, object]:
    """Return the last resource estimate, for comparison with the usage."""
    last = next((event for event in reversed(run.events()) if isinstance(event, events.ResourceEstimate)), None)
    return {"expected": _resource_values(last)} if last else {}


def _resource_values(event: events.ResourceEstimate | events.ResourceUsage) -> dict[str, object]:
    return {"peak_memory_bytes": event.peak_memory_bytes, "seconds_per_epoch": event.seconds_per_epoch}
