"""The one exception that users see."""

from studio.core.messages import N_, Message


class StudioError(Exception):
    """A wrong input or an impossible request, as a text of the form ``<What failed>: <why>. <What to do>.``, one line.

    ``code`` names the kind of error for programs, such as "out-of-memory"; the window chooses the button beside an
    error by it. ``template`` is the English text with ``values`` in its braces, or a finished :class:`Message`.
    The command line prints the text and exits with 2; the window shows it translated.
    """

    def __init__(self, code: str, template: str = "", /, **values: object) -> None:
        if not template:
            code, template = "", code
        self.code = code
        self.message = template if isinstance(template, Message) else N_(template, **values)
        super().__init__(code, self.message)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return str(self.message)
