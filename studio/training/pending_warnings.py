"""Warnings that wait until the training loop can yield them as events."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.core import events
from studio.core.messages import N_, Message
from studio.data.images.decode import UnreadableImageError
from studio.data.images.path_text import display_path


class PendingWarnings:
    """Warnings in the order in which they came; each unreadable image is named once."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._reported_paths: set[Path] = set()

    def add(self, message: Message | None) -> None:
        """Add a warning; None adds nothing."""
        if message is not None:
            self._messages.append(message)

    def add_unreadable(self, unreadable: Iterable[UnreadableImageError]) -> None:
        """Add a warning for each image that was not reported before."""
        for error in unreadable:
            if error.path not in self._reported_paths:
                self._reported_paths.add(error.path)
                self.add(
                    N_(
                        "The image {path} cannot be read: {reason}. It is left out ({n} so far).",
                        path=display_path(error.path),
                        reason=error.reason,
                        n=len(self._reported_paths),
                    )
                )

    def pop_events(self) -> Iterator[events.Warning]:
        """Return the warnings since the last call."""
        messages, self._messages = self._messages, []
        return (events.Warning(text=message) for message in messages)
