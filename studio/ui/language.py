"""The language of the window's texts."""


def tr(text: str, **values: object) -> str:
    """``text`` in the language of the window, with ``values`` in its braces."""
    return text.format(**values) if values else text
