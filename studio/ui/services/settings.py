"""The settings of the window, kept between sessions."""

from PySide6.QtCore import QByteArray, QSettings

from studio.core.paths import data_dir
from studio.ui.i18n.language import LANGUAGES, SYSTEM


class Settings:
    """Settings in a file of the user's data folder."""

    def __init__(self) -> None:
        self._file = QSettings(str(data_dir() / "window.ini"), QSettings.Format.IniFormat)

    @property
    def theme(self) -> str:
        """system, light or dark."""
        value = str(self._file.value("theme", "system"))
        return value if value in ("system", "light", "dark") else "system"

    @theme.setter
    def theme(self, choice: str) -> None:
        self._file.setValue("theme", choice)

    @property
    def language(self) -> str:
        """system, or the code of a language."""
        value = str(self._file.value("language", SYSTEM))
        return value if value in LANGUAGES else SYSTEM

    @language.setter
    def language(self, choice: str) -> None:
        self._file.setValue("language", choice)

    @property
    def geometry(self) -> QByteArray:
        """Size and position of the window; empty at first."""
        value = self._file.value("geometry")
        return value if isinstance(value, QByteArray) else QByteArray()

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._file.setValue("geometry", value)

    @property
    def recent(self) -> list[str]:
        """The recipe files opened or saved last, the newest first."""
        value = self._file.value("recent", [])
        if isinstance(value, str):  # Qt writes a list of one as its item
            return [value]
        return [str(path) for path in value] if isinstance(value, list) else []

    def add_recent(self, path: str) -> None:
        """Put ``path`` first in the recent files."""
        self._file.setValue("recent", [path, *(p for p in self.recent if p != path)][:8])
