"""Figures that several chapters share: estimates on one axis, and values over time with the n beneath."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from respine.display.numbers import NOT_ESTIMABLE, format_level, format_result
from respine.display.outputs import Figure, figure
from respine.display.style import COLOUR, GREY, INK, LINE, MARKER, broken, canvas, short, sides
from respine.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from respine.analyses.study import Arms

ROW_HEIGHT = 0.22


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest plot: a label with its estimate, or a heading without one."""

    label: str
    result: Result | None = None
    main: bool = False
    n: str = ""


def forest(
    rows: Sequence[ForestRow],
    *,
    label: str,
    caption: str,
    alt: str,
    xlabel: str,
    arms: Arms,
    scale: float = 1.0,
    null: float = 0.0,
    higher_is_better: bool = True,
    marks: Mapping[str, float] | None = None,
    log: bool = False,
) -> Figure:
    """Estimates with their intervals on one axis, labels on the left and numbers on the right.

    Parameters
    ----------
    scale
        What the stored values are multiplied by for the axis: 100 turns proportions into percentage points.
    null
        The value of no difference, in the axis' unit.
    higher_is_better
        Which side of ``null`` favours the treatment.
    marks
        Further vertical lines by name, in the axis' unit.
    log
        A logarithmic axis, for ratios.
    """
    drawing, (ax,) = canvas(0.75 + ROW_HEIGHT * (len(rows) + 1))
    for y, row in enumerate(rows):
        _forest_line(ax, y, row, scale)
    _forest_numbers(ax, rows, above=_favours(ax, null, arms, higher_is_better))
    if log:
        from matplotlib.ticker import NullFormatter, StrMethodFormatter

        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.axvline(null, color=GREY, linewidth=0.8, zorder=0)
    for name, position in (marks or {}).items():
        ax.axvline(position, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        ax.annotate(name, (position, -0.75), color=GREY, fontsize=8, ha="center", va="bottom")
    ax.set_ylim(len(rows) - 0.4, -0.7)
    ax.set_yticks(range(len(rows)), [row.label for row in rows])
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("semibold" if row.main or row.result is None else "regular")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(xlabel)
    data = pd.DataFrame(
        [
            {
                "label": row.label,
                "estimate": row.result.value * scale,
                "lower": row.result.lower * scale,
                "upper": row.result.upper * scale,
                "n_treatment": row.result.n_treatment,
                "n_control": row.result.n_control,
                "id": row.result.id,
            }
            for row in rows
            if row.result is not None
        ]
    )
    ids = [row.result.id for row in rows if row.result is not None]
    return figure(drawing, label=label, caption=caption, alt=alt, data=data, results=ids)


def _forest_line(ax: Axes, y: int, row: ForestRow, scale: float) -> None:
    result = row.result
    if result is None:
        return
    if not result.estimable:
        return
    if result.lower == result.lower and result.upper == result.upper:
        ax.plot([result.lower * scale, result.upper * scale], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
    ax.plot([result.value * scale], [y], marker="D" if row.main else "o", color=INK, markersize=6 if row.main else 4.5)


def _forest_numbers(ax: Axes, rows: Sequence[ForestRow], *, above: int) -> None:
    """Beside the axis, a column of estimates with their intervals and one of the n of each arm, both headed.

    The headings stand over the lines of text ``above`` the axis, which may reach beyond it.
    """
    texts = [_with_interval(row.result) for row in rows]
    # The second column starts where the longest estimate ends.
    columns = {0: texts, 4.3 * max(map(len, texts), default=0) + 8: [row.n for row in rows]}
    level = next((row.result.level for row in rows if row.result is not None and row.result.estimable), 0.95)
    for (at, column), heading in zip(columns.items(), (f"difference ({format_level(level)} CI)", "n"), strict=True):
        if any(column):
            _beside(
                ax,
                heading,
                ("axes fraction", "axes fraction"),
                1.0,
                (at, 3 + 10 * above),
                color=GREY,
                fontsize=8,
                va="bottom",
            )
        for y, (text, row) in enumerate(zip(column, rows, strict=True)):
            weight = "semibold" if row.main else "regular"
            _beside(ax, text, ("axes fraction", "data"), y, (at, 0), fontsize=8.5, fontweight=weight, va="center")


def _beside(ax: Axes, text: str, of: tuple[str, str], y: float, offset: tuple[float, float], **style: Any) -> None:
    if text:
        ax.annotate(
            text, (1.02, y), xycoords=of, xytext=offset, textcoords="offset points", annotation_clip=False, **style
        )


def _with_interval(result: Result | None) -> str:
    if result is None:
        return ""
    return f"{format_result(result, 'number')} ({format_result(result, 'ci')})" if result.estimable else NOT_ESTIMABLE


def _favours(ax: Axes, null: float, arms: Arms, higher_is_better: bool) -> int:
    left, right = (arms.control, arms.treatment) if higher_is_better else (arms.treatment, arms.control)
    return sides(ax, f"favours {left}", f"favours {right}", null=null)


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one arm over time: results at visits, in order."""

    role: str
    label: str
    results: Sequence[Result]


def over_time(
    ax: Axes,
    series: Sequence[Series],
    *,
    months: Sequence[float],
    ylabel: str,
    null: float | None = None,
    scale: float = 1.0,
) -> None:
    """Draw each arm's values with their intervals by month, labelled at the line's end."""
    shift = {"treatment": -0.12, "control": 0.12}
    for s in series:
        known = [r for r in s.results if r.estimable]
        x = [float(r.visit or 0) + shift.get(s.role, 0.0) for r in known]
        y = [r.value * scale for r in known]
        ax.plot(x, y, color=COLOUR[s.role], linestyle=LINE[s.role], marker=MARKER[s.role], zorder=3)
        ax.vlines(
            x, [r.lower * scale for r in known], [r.upper * scale for r in known], color=COLOUR[s.role], linewidth=1
        )
    label_ends(
        ax, {s.role: (s.label, s.results[-1].value * scale) for s in series if s.results and s.results[-1].estimable}
    )
    if null is not None:
        ax.axhline(null, color=GREY, linewidth=0.8, zorder=0)
    ax.set_xticks(list(months), [f"{m:g}" for m in months])
    ax.set_xlim(min(months) - 0.8, max(months) + 0.6)
    ax.set_ylabel(ylabel)


def label_ends(ax: Axes, ends: Mapping[str, tuple[str, float]]) -> None:
    """Write each arm's name, in its colour, to the right of where its line ends, apart where the ends are close."""
    low, high = ax.get_ylim()
    # A line of text in the axis' unit; the layout to come takes about a quarter of the height.
    height = 0.75 * 72 * ax.get_position().height * ax.figure.get_figheight()  # type: ignore[union-attr]
    line = 10.5 / height * abs(high - low)
    above = -math.inf
    for role, (text, y) in sorted(ends.items(), key=lambda item: item[1][1]):
        name = broken(text)
        half = line * (name.count("\n") + 1) / 2
        at = max(y, above + half)
        above = at + half
        ax.annotate(
            name, (1.0, at), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
            color=COLOUR[role], va="center", fontsize=8.5, fontweight="semibold", annotation_clip=False,
        )  # fmt: skip


def n_under_axis(ax: Axes, series: Sequence[Series], *, months: Sequence[float], title: str = "n with data") -> None:
    """The number of participants behind each point, a line an arm, in the arm's colour, under the axis."""
    ax.annotate(
        title, (0, 0), xycoords="axes fraction", xytext=(-4, -34), textcoords="offset points", fontsize=8, ha="right",
        color=INK, annotation_clip=False,
    )  # fmt: skip
    for line, s in enumerate(series):
        by_month = {float(r.visit or 0): r for r in s.results}
        y = -45 - 11 * line
        ax.annotate(
            short(s.label, 18), (0, 0), xycoords="axes fraction", xytext=(-4, y), textcoords="offset points",
            fontsize=8, color=COLOUR[s.role], ha="right", annotation_clip=False,
        )  # fmt: skip
        for month in months:
            result = by_month.get(float(month))
            n = (result.n if result.n is not None else (getattr(result, f"n_{s.role}", None))) if result else None
            ax.annotate(
                f"{n if n is not None else 0}", (month, 0), xycoords=("data", "axes fraction"), xytext=(0, y),
                textcoords="offset points", fontsize=8, ha="center", color=INK, annotation_clip=False,
            )  # fmt: skip
