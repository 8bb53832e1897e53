"""The one exception that users see."""


class StudioError(Exception):
    """A wrong input or an impossible request, said in one sentence: the cause and the way out.

    The command line prints the sentence and exits with 2; the window shows it in a message.
    """
