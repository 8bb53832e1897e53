"""What a training has to tell the user besides its figures, gathered until it can be said."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.core import events
from studio.data.images.decode import UnreadableImageError


class PendingWarnings:
    """Sentences that wait; each image that cannot be read is named once."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reported_paths: set[Path] = set()

    def add(self, text: str) -> None:
        """One more sentence; an empty one is none."""
        if text:
            self._texts.append(text)

    def add_unreadable(self, unreadable: Iterable[UnreadableImageError]) -> None:
        """Say which images cannot be read, and how many that makes."""
        for error in unreadable:
            if error.path not in self._reported_paths:
                self._reported_paths.add(error.path)
                self.add(f"{error} It is left out ({len(self._reported_paths)} so far).")

    def pop_events(self) -> Iterator[events.Warning]:
        """What there is to say since the last time."""
        texts, self._texts = self._texts, []
        return (events.Warning(text=text) for text in texts)
