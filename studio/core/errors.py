"""The one exception that users see."""

import errno
from pathlib import Path

from studio.core.messages import N_, Message


class StudioError(Exception):
    """A wrong input or an impossible request.

    The text is one line of the form ``<What failed>: <why>. <What to do>.``

    ``code`` names the kind of error for programs, such as "out-of-memory"; the window chooses the button beside an
    error by it. ``template`` is the English text with ``values`` in its braces, or a finished :class:`Message`.
    The command line prints the text and exits with 2; the window shows it translated.
    """

    def __init__(self, code: str, template: str, /, **values: object) -> None:
        self.code = code
        self.message = template if isinstance(template, Message) else N_(template, **values)
        super().__init__(code, self.message)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return str(self.message)


def write_error(subject: Message, path: Path, error: OSError) -> StudioError:
    """Return the error for a ``subject`` that cannot be written to ``path``.

    ``subject`` is a noun with its article, such as "the run". The code is "disk-full" or "cannot-write".
    """
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StudioError(
            "disk-full",
            "Cannot write {subject} to {path}: the disk is full. Free some space and try again.",
            subject=subject,
            path=path,
        )
    return StudioError(
        "cannot-write",
        "Cannot write {subject} to {path}: {reason}. Choose another folder.",
        subject=subject,
        path=path,
        reason=error.strerror or str(error),
    )
