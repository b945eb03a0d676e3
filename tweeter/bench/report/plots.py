"""Plots as inline SVG for an HTML page: readable in print, in grayscale, in dark mode and by the colour-blind.

Colours are those of M. Okabe and K. Ito (Color Universal Design, 2008). Lines differ not only in colour: each has its
own marker, its own dashes, and its name at its end.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from tweeter.bench.figures import duration
from tweeter.bench.labels import apart
from tweeter.bench.schema import Measurement, Offered

INK = "#1a1a1b"  # replaced by the text colour of the page
FAINT = "#8a8a8b"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("s", "o", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (1, 1)),
    (0, (9, 3)),
    (0, (3, 1, 1, 1)),
)
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tweeter",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@matplotlib.rc_context(STYLE)
def growth(
    name: str, title: str, lines: Mapping[str, Sequence[Measurement]], x_label: str, y_label: str, order: Sequence[str]
) -> str:
    """Lines of medians on logarithmic axes. A bar from each reaches to the 95th percentile, a thinner to the 99th."""
    figure, axes = _plot(title, x_label, 4.1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = []
    for backend, points in lines.items():
        place = order.index(backend)
        # Shifted sideways, so that bars do not overlap.
        shift = 1.035 ** (place - (len(order) - 1) / 2)
        xs, medians = [point.x * shift for point in points], [point.times.median for point in points]
        colour = COLOURS[place % len(COLOURS)]
        axes.vlines(xs, medians, [point.times.p99 for point in points], color=colour, linewidth=0.8)
        axes.vlines(xs, medians, [point.times.p95 for point in points], color=colour, linewidth=2.4, alpha=0.55)
        axes.plot(xs, medians, linestyle=DASHES[place % len(DASHES)], linewidth=1.8, **_mark(place))
        ends.append((xs[-1], medians[-1], backend, colour))
    every_x = sorted({point.x for points in lines.values() for point in points})
    axes.set_xlim(every_x[0] / 1.25, every_x[-1] * 1.25)
    # A label that would touch the next one is omitted; its tick mark stays.
    told = [f"{x:,.0f}" if after >= 2 * x else "" for x, after in pairwise([*every_x, every_x[-1] * 2])]
    axes.set_xticks(every_x, told)
    _logarithmic(axes.yaxis, duration)
    every = [value for points in lines.values() for point in points for value in (point.times.median, point.times.p99)]
    axes.set_ylim(min(every) / 1.5, max(every) * 1.3)
    axes.set_ylabel(y_label)
    _name_ends(figure, axes, ends)
    return _svg(figure, name, title)


@matplotlib.rc_context(STYLE)
def latency(name: str, title: str, lines: Mapping[str, Sequence[Offered]], limit: float, order: Sequence[str]) -> str:
    """The 99th percentile against the offered rate, up to the first rate that a backend does not hold (hollow)."""
    figure, axes = _plot(title, "requests a second (logarithmic)", 4.1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = []
    for backend, points in lines.items():
        place = order.index(backend)
        xs, ys = [point.offered for point in points], [point.p99 for point in points]
        mark = _mark(place)
        axes.plot(xs, ys, linestyle=DASHES[place % len(DASHES)], linewidth=1.8, **mark)
        broken = [(x, y) for x, y, point in zip(xs, ys, points, strict=True) if not point.held]
        hollow = mark | {"markerfacecolor": "white", "markeredgecolor": mark["color"], "markeredgewidth": 1.6}
        axes.plot([x for x, _ in broken], [y for _, y in broken], linestyle="", zorder=4, **hollow)
        ends.append((xs[-1], ys[-1], backend, mark["color"]))
    axes.axhline(limit, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    every = [point for points in lines.values() for point in points]
    rates = sorted({point.offered for point in every})
    axes.annotate(f"limit: {duration(limit)}", (rates[0], limit), xytext=(0, 4), textcoords="offset points",
                  fontsize=9.5)  # fmt: skip
    axes.set_xlim(rates[0] / 1.15, rates[-1] * 1.15)
    axes.set_xticks(rates, [f"{rate:,.0f}" for rate in rates])
    _logarithmic(axes.yaxis, duration)
    axes.set_ylim(min(point.p99 for point in every) / 1.5, max(limit * 1.6, *(point.p99 for point in every)) * 1.2)
    axes.set_ylabel("99th percentile (logarithmic)")
    _name_ends(figure, axes, ends)
    return _svg(figure, name, title)


@matplotlib.rc_context(STYLE)
def dots(
    name: str, title: str, rows: Mapping[str, Mapping[str, Sequence[float]]], x_label: str, order: Sequence[str]
) -> str:
    """A row for each workload, a dot for each backend on a logarithmic axis; a bar spans its rounds."""
    step = 0.8 / max(1, len(order))
    figure, axes = _plot(title, x_label, 0.9 + len(rows) * (0.35 + 0.21 * len(order)))
    axes.set_xscale("log")
    for number, values in enumerate(rows.values()):
        axes.axhspan(number - 0.46, number + 0.46, color=FAINT, alpha=0.09 if number % 2 else 0, linewidth=0)
        for backend, figures in values.items():
            place = order.index(backend)
            y = number + (place - (len(order) - 1) / 2) * step
            middle = sorted(figures)[len(figures) // 2]
            colour = COLOURS[place % len(COLOURS)]
            axes.hlines(y, min(figures), max(figures), color=colour, linewidth=2.4, alpha=0.55)
            axes.plot([middle], [y], **_mark(place))
            _tell(axes, f"{backend} {middle:,.0f}", max(figures), y)
    every = [value for values in rows.values() for figures in values.values() for value in figures]
    axes.set_xlim(min(every) / 1.3, max(every) * 2.4)
    _name_rows(axes, list(rows))
    axes.spines["left"].set_visible(False)
    _logarithmic(axes.xaxis, lambda value, _: f"{value:,g}")
    return _svg(figure, name, title)


@matplotlib.rc_context(STYLE)
def bars(name: str, title: str, parts: Mapping[str, Mapping[str, float]], x_label: str, order: Sequence[str]) -> str:
    """A bar for each backend, made of parts: the first filled, the second hatched."""
    hatches = ("", "////", "....")
    figure, axes = _plot(title, x_label, 0.9 + 0.42 * len(order))
    ends = dict.fromkeys(order, 0.0)
    for number, values in enumerate(parts.values()):
        for place, backend in enumerate(order):
            colour, value = COLOURS[place % len(COLOURS)], max(0.0, values.get(backend, 0.0))
            axes.barh(place, value, left=ends[backend], height=0.62, hatch=hatches[number % len(hatches)],
                      facecolor=colour if number == 0 else "none", edgecolor=colour, linewidth=1)  # fmt: skip
            ends[backend] += value
    for place, backend in enumerate(order):
        told = (f"{max(0.0, values[backend]):,.1f} {part}" for part, values in parts.items() if backend in values)
        _tell(axes, ", ".join(told), ends[backend], place)
    axes.set_xlim(0, max(*ends.values(), 1e-9) * 1.75)
    _name_rows(axes, order)
    return _svg(figure, name, title)


def _plot(title: str, x_label: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_title(title, loc="left", fontsize=11.5)
    return figure, axes


def _mark(place: int) -> dict[str, Any]:
    """The look of a backend's marks."""
    return {
        "color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)], "markersize": 6.5,
        "markeredgecolor": "white", "markeredgewidth": 0.6,
    }  # fmt: skip


def _tell(axes: Axes, text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=9.5)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)


def _logarithmic(axis: Any, told: Callable[[float, Any], str]) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter(FuncFormatter(told))
    axis.axes.minorticks_off()
    axis.grid(which="major", color=FAINT, alpha=0.35, linewidth=0.6)


def _name_ends(figure: Figure, axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes the name of each line at its end; names that would overlap are moved apart."""
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    places = sorted(
        (float(axes.transData.transform((x, y))[1]) / scale, x, y, name, colour) for x, y, name, colour in ends
    )
    wanted = apart([place[0] for place in places])
    for (height, x, y, name, colour), target in zip(places, wanted, strict=True):
        axes.annotate(
            name, (x, y), xytext=(1.02, target - height), textcoords=("axes fraction", "offset points"), va="center",
            annotation_clip=False, fontsize=10.5,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 5},
        )  # fmt: skip


def _svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an element of a page: no XML header, unique ids, text in the colour of the page."""
    file = io.StringIO()
    figure.savefig(
        file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None, "Format": None}
    )
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace(INK, "currentColor")
    size = re.search(r'width="([\d.]+)pt"', svg)
    width = round(float(size[1]) * 96 / 72) if size else 720
    svg = re.sub(r' width="[\d.]+pt"', f' style="width: {width}px"', svg, count=1)
    svg = re.sub(r' height="[\d.]+pt"', "", svg, count=1)
    label = f' role="img" aria-labelledby="{name}-title"'
    return re.sub(r"(<svg[^>]*)>", rf'\1{label}><title id="{name}-title">{escape(title)}</title>', svg, count=1)
