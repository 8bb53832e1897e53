"""Charts as SVG for light and dark pages: accuracy by epoch and by parameters."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from studio.app.comparison.scale import Scale
from studio.app.comparison.templates import render
from studio.core.formatting import format_short_count

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 466, 34, 274
_MARGIN = 0.08
_X_MARGIN_FACTOR = 1.35
_LEGEND_STEP = 24

XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Several lines of one kind, such as one for each seed, which have a mean."""

    number: int
    label: str
    lines: tuple[tuple[XY, ...], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A numbered point; its value ``y`` is known to within ``y_error``."""

    number: int
    label: str
    x: float
    y: float
    y_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on an axis, at the pixel ``at``."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through pixels; dashed and gray without a ``number``."""

    points: tuple[XY, ...]
    number: int = 0
    width: float = 1
    opacity: float = 1


@dataclass(frozen=True, slots=True)
class Badge:
    """A numbered point in pixels, with an error bar from ``top`` to ``bottom``."""

    number: int
    label: str
    x: float
    y: float
    top: float = 0
    bottom: float = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """The values of the template ``chart.svg.j2``, in pixels."""

    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    points: tuple[Badge, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM

    @property
    def title(self) -> str:
        """The title for screen readers."""
        return f"{self.y_title} by {self.x_title}"


def line_chart(curves: Sequence[Curve], x_title: str, y_title: str) -> str:
    """Return accuracies in [0, 1] over integers as SVG, with a thick line for means."""
    pairs = [pair for curve in curves for line in curve.lines for pair in line]
    if not pairs:
        return ""
    first, last = min(p[0] for p in pairs), max(p[0] for p in pairs)
    x, y = Scale(first, max(last, first + 1), LEFT, RIGHT), _y_scale([p[1] for p in pairs])
    integers = [tick for tick in x.ticks() if tick == int(tick)]
    lines = tuple(line for curve in curves for line in _curve_lines(curve, x, y))
    return _render(x_title, y_title, _ticks(x, integers, "{:.0f}".format), y, lines, tuple(_legend(curves)))


def scatter(points: Sequence[Point], pareto_front: Sequence[Point], x_title: str, y_title: str) -> str:
    """Return accuracies in [0, 1] over counts, on a logarithmic scale, as SVG."""
    if not points:
        return ""
    low, high = min(p.x for p in points) / _X_MARGIN_FACTOR, max(p.x for p in points) * _X_MARGIN_FACTOR
    x = Scale(low, high, LEFT, RIGHT, logarithmic=True)
    y = _y_scale([p.y + sign * p.y_error for p in points for sign in (-1, 1)])
    front = Line(tuple((x(p.x), y(p.y)) for p in pareto_front), width=1.5)
    badges = tuple(_badge(point, x, y) for point in points)
    return _render(x_title, y_title, _ticks(x, x.ticks(), format_short_count), y, (front,), badges)


def mean_line(lines: Iterable[Sequence[XY]]) -> list[XY]:
    """Return the mean of the lines at each x of any of them."""
    values: dict[float, list[float]] = {}
    for line in lines:
        for x, y in line:
            values.setdefault(x, []).append(y)
    return [(x, sum(ys) / len(ys)) for x, ys in sorted(values.items())]


def _render(
    x_title: str, y_title: str, x_ticks: tuple[Tick, ...], y: Scale, lines: tuple[Line, ...], points: tuple[Badge, ...]
) -> str:
    y_ticks = _ticks(y, y.ticks(), lambda value: f"{100 * value:.4g}%")
    return render("chart.svg.j2", chart=Chart(x_title, y_title, x_ticks, y_ticks, lines, points)).rstrip("\n")


def _ticks(scale: Scale, values: Iterable[float], text: Callable[[float], str]) -> tuple[Tick, ...]:
    return tuple(Tick(scale(value), text(value)) for value in values)


def _y_scale(values: Sequence[float]) -> Scale:
    """Return a vertical scale with a margin, within the accuracies' range [0, 1]."""
    low, high = max(0.0, min(values)), min(1.0, max(values))
    margin = max((high - low) * _MARGIN, 0.005)
    return Scale(max(0.0, low - margin), min(1.0, high + margin), BOTTOM, TOP)


def _curve_lines(curve: Curve, x: Scale, y: Scale) -> Iterable[Line]:
    if len(curve.lines) > 1:
        yield from (Line(tuple((x(a), y(b)) for a, b in line), curve.number, opacity=0.3) for line in curve.lines)
    yield Line(tuple((x(a), y(b)) for a, b in mean_line(curve.lines)), curve.number, width=2)


def _legend(curves: Sequence[Curve]) -> Iterable[Badge]:
    """Yield the numbers of the curves in their colors, as many as fit."""
    for x, curve in zip(range(LEFT + 9, RIGHT, _LEGEND_STEP), curves, strict=False):
        yield Badge(curve.number, curve.label, x, 12)


def _badge(point: Point, x: Scale, y: Scale) -> Badge:
    top, bottom = y(min(y.high, point.y + point.y_error)), y(max(y.low, point.y - point.y_error))
    return Badge(point.number, point.label, x(point.x), y(point.y), top, bottom)
