"""The theme: a table of colors each for light and dark, which palette and style sheet are made of."""

from dataclasses import asdict, dataclass
from string import Template

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from studio.core.paths import resource

FONT_FAMILIES = ("Inter", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei")
"""The shipped typeface, then those of the systems for glyphs that it lacks."""
RADIUS = 8


@dataclass(frozen=True, slots=True)
class Tokens:
    """The colors of one theme by their use. A ``soft`` color is the background of its strong one."""

    dark: bool
    ground: str
    surface: str
    sunken: str
    hover: str
    line: str
    line_strong: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    frozen: str
    frozen_soft: str
    adapter: str
    adapter_soft: str
    head: str
    head_soft: str
    good: str
    good_soft: str
    bad: str
    bad_soft: str
    second: str

    def color(self, name: str) -> QColor:
        """Return the color called ``name``."""
        return QColor(getattr(self, name))


LIGHT = Tokens(
    dark=False, ground="#f3f4f8", surface="#ffffff", sunken="#eaecf2", hover="#f0f2f8", line="#dfe3eb",
    line_strong="#bcc4d2", text="#19202e", muted="#566074", faint="#7e889a", accent="#3b4fd8", accent_hover="#2f41bb",
    accent_soft="#e8ebfd", on_accent="#ffffff", frozen="#4d6a88", frozen_soft="#e9eff5", adapter="#a84c08",
    adapter_soft="#fdeeda", head="#6d34d6", head_soft="#f0e9fd", good="#13733a", good_soft="#e2f5e9", bad="#b91f32",
    bad_soft="#fdeaec", second="#0a717c",
)  # fmt: skip

DARK = Tokens(
    dark=True, ground="#11141b", surface="#191d26", sunken="#0d1016", hover="#222733", line="#2a303d",
    line_strong="#465063", text="#e7eaf1", muted="#a3adbf", faint="#7d879a", accent="#8b9aff", accent_hover="#a3afff",
    accent_soft="#262d52", on_accent="#0d1020", frozen="#93b3d1", frozen_soft="#1d2733", adapter="#ffb660",
    adapter_soft="#3b2c15", head="#c6a8ff", head_soft="#2e2547", good="#62d892", good_soft="#15301f", bad="#ff8490",
    bad_soft="#3d1e23", second="#4ccbd8",
)  # fmt: skip


def style_sheet(tokens: Tokens) -> str:
    """Return the style sheet in the colors of ``tokens``."""
    style = resource("style")
    check = style / ("check-dark.svg" if tokens.dark else "check-light.svg")
    values = {
        **asdict(tokens),
        "style": style.as_posix(),
        "check": check.as_posix(),
        "families": ", ".join(f'"{family}"' for family in FONT_FAMILIES),
    }
    return Template((style / "studio.qss").read_text(encoding="utf-8")).substitute(values)


def build_palette(tokens: Tokens) -> QPalette:
    """Return the palette in the colors of ``tokens``, for widgets that the style sheet does not reach."""
    role = QPalette.ColorRole
    palette = QPalette()
    pairs = {
        role.Window: "ground", role.WindowText: "text", role.Base: "surface", role.AlternateBase: "hover",
        role.Text: "text", role.Button: "surface", role.ButtonText: "text", role.BrightText: "bad",
        role.ToolTipBase: "text", role.ToolTipText: "surface", role.PlaceholderText: "muted", role.Link: "accent",
        role.LinkVisited: "accent", role.Highlight: "accent_soft", role.HighlightedText: "text", role.Accent: "accent",
        role.Mid: "line", role.Midlight: "line", role.Dark: "line_strong", role.Light: "surface", role.Shadow: "line",
    }  # fmt: skip
    for which, name in pairs.items():
        palette.setColor(which, tokens.color(name))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, tokens.color("faint"))
    return palette


class Theme(QObject):
    """The theme in use. ``choice`` is "system", "light" or "dark".

    ``about_to_change`` lets windows remove widgets that Qt would otherwise polish in vain: one by one, for a second.
    """

    about_to_change = Signal()
    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.choice = "light"
        self.tokens = LIGHT

    def apply(self, choice: str) -> None:
        """Show the application in the theme ``choice``."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        self.choice = choice
        before, dark = self.tokens, choice == "dark" or (choice == "system" and _system_is_dark())
        self.tokens = DARK if dark else LIGHT
        if self.tokens is before and application.styleSheet():
            return  # Qt would polish every widget anew
        self.about_to_change.emit()
        application.setPalette(build_palette(self.tokens))
        application.setStyleSheet(style_sheet(self.tokens))
        self.changed.emit(self.tokens)


def _system_is_dark() -> bool:
    return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark


def load_fonts() -> None:
    """Load the shipped typeface and make it the default, with digits of equal width."""
    for path in sorted(resource("style", "fonts").glob("*.otf")):
        QFontDatabase.addApplicationFont(str(path))
    font = QFont()
    font.setFamilies(FONT_FAMILIES)
    font.setPixelSize(13)
    font.setFeature(QFont.Tag("tnum"), 1)
    QApplication.setFont(font)


_theme: Theme | None = None


def theme() -> Theme:
    """Return the theme of the application."""
    global _theme
    if _theme is None:
        _theme = Theme()
    return _theme


def color(name: str) -> QColor:
    """Return the color called ``name`` in the theme in use, for painting."""
    return theme().tokens.color(name)
