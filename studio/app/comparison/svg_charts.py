"""Charts as SVG text: curves over epochs, and points with their best front. Each carries its style, light and dark."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 46
SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#c2619b", "#b07d00", "#2f8fcb", "#7f7f7f", "#8a5a44")
"""Told apart with any kind of colour vision; numbers tell the rest apart."""
_MARGIN = 0.08
_STYLE = """<style>
.studio-chart { --ink: #22272e; --soft: #5c6570; --rule: #dfe3e8; --paper: #ffffff; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
  .studio-chart { --ink: #e6e9ed; --soft: #a3acb8; --rule: #343b44; --paper: #171b20 }
}
.studio-chart text { fill: var(--soft) } .studio-chart .title { fill: var(--ink) }
.studio-chart .rule { stroke: var(--rule) } .studio-chart .front { stroke: var(--soft); stroke-dasharray: 4 4 }
.studio-chart .number { fill: #ffffff; font-weight: 600; font-size: 11px }
.studio-chart polyline { fill: none; stroke-linejoin: round } .studio-chart circle { stroke: var(--paper) }
</style>"""

XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Several lines of one kind, such as one for each seed, with their mean."""

    number: int
    label: str
    lines: tuple[tuple[XY, ...], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A numbered point whose height is known up to ``y_error``, in either direction."""

    number: int
    label: str
    x: float
    y: float
    y_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        at = math.log if self.logarithmic else float
        return self.start + (self.end - self.start) * (at(value) - at(self.low)) / (at(self.high) - at(self.low))

    def ticks(self) -> list[float]:
        """Round numbers within the scale."""
        return _log_ticks(self.low, self.high) if self.logarithmic else _linear_ticks(self.low, self.high)


def line_chart(curves: Sequence[Curve], x_title: str, y_title: str) -> str:
    """Accuracies (in [0, 1]) over whole numbers: a thin line for each, a thick one for the mean of each curve."""
    pairs = [pair for curve in curves for line in curve.lines for pair in line]
    if not pairs:
        return ""
    x = Scale(
        min(p[0] for p in pairs), max(max(p[0] for p in pairs), min(p[0] for p in pairs) + 1), LEFT, _plot_right()
    )
    y = _y_scale([p[1] for p in pairs])
    whole = [tick for tick in x.ticks() if tick == int(tick)]
    body = (
        *_axes(x, y, whole, lambda v: f"{v:.0f}", x_title, y_title),
        *(_curve(curve, x, y) for curve in curves),
        *_legend(curves),
    )
    return _svg(f"{y_title} over {x_title}", body)


def scatter(points: Sequence[Point], pareto_front: Sequence[Point], x_title: str, y_title: str) -> str:
    """Accuracies (in [0, 1]) over a count on a logarithmic scale, with a dashed line through the ``pareto_front``."""
    if not points:
        return ""
    x = Scale(min(d.x for d in points) / 1.35, max(d.x for d in points) * 1.35, LEFT, _plot_right(), logarithmic=True)
    y = _y_scale([d.y + sign * d.y_error for d in points for sign in (-1, 1)])
    line = _polyline([(x(d.x), y(d.y)) for d in pareto_front], 'class="front" stroke-width="1.5"')
    body = (*_axes(x, y, x.ticks(), short_count, x_title, y_title), line, *(_scatter_point(d, x, y) for d in points))
    return _svg(f"{y_title} against {x_title}", body)


def series_color(number: int) -> str:
    """The colour of the thing numbered so, from 1."""
    return SERIES_COLORS[(number - 1) % len(SERIES_COLORS)]


def short_count(value: float) -> str:
    """A count in few characters: ``500``, ``20k``, ``1.5M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def mean_line(lines: Iterable[Sequence[XY]]) -> list[XY]:
    """The mean of the heights wherever there are any."""
    heights: dict[float, list[float]] = {}
    for line in lines:
        for x, y in line:
            heights.setdefault(x, []).append(y)
    return [(x, sum(ys) / len(ys)) for x, ys in sorted(heights.items())]


def _plot_right() -> int:
    return WIDTH - RIGHT


def _y_scale(values: Sequence[float]) -> Scale:
    """A vertical scale with some air that stays within 0 and 1, where accuracies live."""
    low, high = max(0.0, min(values)), min(1.0, max(values))
    air = max((high - low) * _MARGIN, 0.005)
    return Scale(max(0.0, low - air), min(1.0, high + air), HEIGHT - BOTTOM, TOP)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for wanted in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [m * 10.0**e for e in exponents for m in wanted if low <= m * 10.0**e <= high]
        if len(ticks) >= 3:
            return ticks
    return _linear_ticks(low, high)


def _axes(
    x: Scale, y: Scale, x_ticks: Sequence[float], x_text: Callable[[float], str], x_title: str, y_title: str
) -> Iterable[str]:
    """Rules, numbers and titles of the axes."""
    for tick in y.ticks():
        yield f'<line class="rule" x1="{LEFT}" x2="{_plot_right()}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield _text(LEFT - 8, y(tick) + 4, f"{100 * tick:.4g}%", "end")
    for tick in x_ticks:
        yield _text(x(tick), HEIGHT - BOTTOM + 18, x_text(tick), "middle")
    yield _text((LEFT + _plot_right()) / 2, HEIGHT - 6, x_title, "middle", "title")
    yield f'<g transform="rotate(-90 12 {HEIGHT / 2:.0f})">{_text(12, HEIGHT / 2, y_title, "middle", "title")}</g>'


def _curve(curve: Curve, x: Scale, y: Scale) -> str:
    ink = f'stroke="{series_color(curve.number)}"'
    single = [_polyline([(x(a), y(b)) for a, b in line], f'{ink} opacity="0.3"') for line in curve.lines]
    mean = _polyline([(x(a), y(b)) for a, b in mean_line(curve.lines)], f'{ink} stroke-width="2"')
    return f"<g><title>{escape(curve.label)}</title>{''.join(single) if len(single) > 1 else ''}{mean}</g>"


def _legend(curves: Sequence[Curve]) -> Iterable[str]:
    """The number of each curve in its colour, as many as there is room for."""
    for place, curve in zip(range(LEFT + 9, _plot_right(), 24), curves, strict=False):
        yield f"<g><title>{escape(curve.label)}</title>{_number_marker(place, 12, curve.number)}</g>"


def _number_marker(x: float, y: float, number: int) -> str:
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="{series_color(number)}"/>'
    return circle + _text(x, y + 4, str(number), "middle", "number")


def _scatter_point(point: Point, x: Scale, y: Scale) -> str:
    at, ink = (x(point.x), y(point.y)), series_color(point.number)
    top, bottom = y(min(y.high, point.y + point.y_error)), y(max(y.low, point.y - point.y_error))
    bar = f'<line x1="{at[0]:.1f}" x2="{at[0]:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{ink}" stroke-width="2"/>'
    return (
        f"<g><title>{escape(point.label)}</title>{bar if point.y_error else ''}{_number_marker(*at, point.number)}</g>"
    )


def _polyline(at: Sequence[XY], attributes: str) -> str:
    return f'<polyline {attributes} points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text{css} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, body: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="studio-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f'{head} aria-label="{escape(title)}">{_STYLE}{"".join(body)}</svg>'
