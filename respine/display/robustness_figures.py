"""Figures of robustness: missing-data methods, tipping points, definitions of response, specification curve."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from respine.analyses.missing_data import MAIN, MISSING, deltas, tipping_id
from respine.analyses.robustness import SWEEPS, own_threshold, planned_id, rule_id, thresholds
from respine.analyses.study import Arms, Study
from respine.display.figures import ForestRow, forest
from respine.display.numbers import format_p, format_points, format_result
from respine.display.outputs import Figure, figure
from respine.display.robustness import METHODS, choices, conclusion, main_result
from respine.display.style import COLOUR, GREY, INK, canvas, short
from respine.results import Result, Results, to_sort_by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SWEEP_NAMES = {
    "vas_mm": "VAS, mm",
    "vas_percent": "VAS, % of baseline",
    "odi_relative": "ODI, % of baseline",
    "odi_points": "ODI, points",
}
# Pure white follows the page's ground as pure black follows its ink.
FACE = {"non_responder": INK, "ignored": "#ffffff"}
SEEN = {"treatment": COLOUR["treatment"], "control": COLOUR["control"], "none": GREY}
_LARGEST_LETTERED = 7
"""Rows of the tipping-point surface up to which each cell has room for its numbers."""


def missing_figure(results: Results, arms: Arms, month: float) -> Figure:
    """The adjusted difference by each method for missing values on one axis."""
    main = main_result(results)
    rows = [
        ForestRow(
            METHODS[name],
            r := results[f"robustness.missing.{name}"],
            main=name == MAIN,
            n=f"{r.n_treatment} and {r.n_control}" if r.estimable else "",
        )
        for name in MISSING
    ]
    return forest(
        rows,
        label="fig-missing-methods",
        caption=(
            f"Adjusted treatment difference in response at month {month:g} ({arms.treatment} − {arms.control}) by "
            f"method for missing values, with confidence intervals and the n analysed; {main.n_treatment} and "
            f"{main.n_control} randomised. The diamond is the main analysis."
        ),
        alt=f"Main analysis: difference in response {format_result(main, 'full')}; other methods above and beneath it.",
        xlabel="Difference in responders, percentage points",
        arms=arms,
        scale=100,
    )


# --- tipping-point surface --------------------------------------------------------------------------------------------


def tipping_figure(results: Results, study: Study) -> Figure:
    """The surface: each cell shaded by its p-value in the colour of the arm it favours; a line where it tips."""
    arms, alpha, grid = study.arms, study.parameters.alpha, deltas(study.parameters)
    held = conclusion(main_result(results), alpha)
    cells = {(t, c): results[tipping_id(t, c)] for t in grid for c in grid}
    drawing, (ax,) = canvas(min(0.9 + 0.45 * len(grid), 4.6))
    for (t, c), r in cells.items():
        _tipping_cell(ax, grid.index(c), grid.index(t), r, lettered=len(grid) <= _LARGEST_LETTERED)
    _tipping_border(ax, {at: conclusion(r, alpha) not in (held, None) for at, r in cells.items()}, grid)
    ax.set_xlim(-0.5, len(grid) - 0.5)
    ax.set_ylim(-0.5, len(grid) - 0.5)
    every = -(-len(grid) // 12)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(0, len(grid), every), [f"{d:g}" for d in grid[::every]])
        axis.set_tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlabel(f"Worse than imputed with {short(arms.control, 40)}, mm VAS")
    ax.set_ylabel(f"Worse than imputed with\n{short(arms.treatment, 36)}, mm VAS")
    tipped = sum(conclusion(r, alpha) not in (held, None) for r in cells.values())
    lettering = "estimate in points, p-value beneath" if len(grid) <= _LARGEST_LETTERED else "estimates in the download"
    return figure(
        drawing,
        label="fig-tipping",
        caption=(
            "Tipping-point surface: adjusted treatment difference in response when values imputed after departure are "
            f"made worse, arm by arm ({lettering}). Blue leans to {arms.treatment}, orange to {arms.control}, the "
            "stronger the smaller p; a heavy line borders the cells in which the conclusion differs from the main "
            f"analysis, lower left. {_departed(results, arms)}"
        ),
        alt=_tipping_alt(tipped, cells.values()),
        data=_tipping_data(cells),
        results=[r.id for r in cells.values()],
    )


def _tipping_cell(ax: Axes, x: int, y: int, r: Result, *, lettered: bool) -> None:
    from matplotlib.patches import Rectangle

    known = r.estimable and r.p == r.p
    # Darker by each halving of p; the page's text stays readable on the darkest.
    shade = min(-np.log10(max(r.p, 1e-6)) / 4, 0.55) if known else 0.0
    colour = COLOUR["treatment" if r.value > 0 else "control"]
    ax.add_patch(
        Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, alpha=shade, edgecolor="none", linewidth=0)
    )
    if not lettered:
        return
    if not known:
        ax.annotate("–", (x, y), ha="center", va="center", fontsize=8)
        return
    ax.annotate(format_points(r.value), (x, y + 0.16), ha="center", va="center", fontsize=8.5, fontweight="semibold")
    ax.annotate(format_p(r.p), (x, y - 0.2), ha="center", va="center", fontsize=8)


def _tipping_border(ax: Axes, tipped: dict[tuple[float, float], bool], grid: Sequence[float]) -> None:
    """A line between every two neighbours of which one has tipped."""
    for y, t in enumerate(grid):
        for x, c in enumerate(grid):
            if x + 1 < len(grid) and tipped[t, c] != tipped[t, grid[x + 1]]:
                ax.plot([x + 0.5, x + 0.5], [y - 0.5, y + 0.5], color=INK, linewidth=2, solid_capstyle="projecting")
            if y + 1 < len(grid) and tipped[t, c] != tipped[grid[y + 1], c]:
                ax.plot([x - 0.5, x + 0.5], [y + 0.5, y + 0.5], color=INK, linewidth=2, solid_capstyle="projecting")


def _departed(results: Results, arms: Arms) -> str:
    n = {role: format_result(results[f"robustness.departed.{role}"]) for role in ("treatment", "control")}
    return (
        f"Response unknown after departure: {n['treatment']} with {arms.treatment}, {n['control']} with {arms.control}."
    )


def _tipping_alt(tipped: int, cells: Collection[Result]) -> str:
    known = sorted(r.p for r in cells if r.p == r.p)
    if not known:
        return "No cell of the surface could be estimated."
    ends = f"{format_p(known[0])} to {format_p(known[-1])}"
    return f"The conclusion differs from that of the main analysis in {tipped} of {len(cells)} cells; p-values {ends}."


def _tipping_data(cells: dict[tuple[float, float], Result]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "delta_treatment": t,
                "delta_control": c,
                "difference": r.value,
                "lower": r.lower,
                "upper": r.upper,
                "p": r.p,
            }
            for (t, c), r in cells.items()
        ]
    )


# --- definitions of response ------------------------------------------------------------------------------------------


def rules_figure(results: Results, study: Study) -> Figure:
    """The main analysis along the thresholds of the rule, a panel each."""
    parameters, arms = study.parameters, study.arms
    drawing, axes = canvas(2.6, columns=len(SWEEPS), sharey=True)
    rows = []
    for ax, sweep in zip(axes, SWEEPS, strict=True):
        places = thresholds(sweep, parameters)
        step = min(np.diff(places)) if len(places) > 1 else 1.0
        for shift, rescue in ((-0.16, "non_responder"), (0.16, "ignored")):
            line = [(x, results[rule_id(sweep, x, rescue)]) for x in places]
            rows += [_sweep_row(sweep, x, rescue, r) for x, r in line]
            planned = own_threshold(sweep, parameters) if rescue == parameters.rescue else None
            _draw_sweep(ax, [(x, x + shift * min(step, 5.0), r) for x, r in line if r.estimable], rescue, planned)
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        ax.set_xlabel(SWEEP_NAMES[sweep])
        ax.locator_params(axis="x", nbins=5, integer=True)
    axes[0].set_ylabel("Difference, percentage points")
    _favours(axes[0], axes[-1], arms)
    n = main_result(results)
    return figure(
        drawing,
        label="fig-rules",
        caption=(
            f"Treatment difference in response at month {parameters.primary_month:g} by the improvement that the rule "
            "asks for, one threshold moved at a time (main analysis with confidence intervals; intention-to-treat "
            f"set, n = {n.n_treatment} and {n.n_control}). Filled: rescue is non-response; open: rescue ignored; "
            "diamond: as planned."
        ),
        alt=_rules_alt(rows),
        data=pd.DataFrame(rows),
        results=[rule_id(s, x, rescue) for s in SWEEPS for x in thresholds(s, parameters) for rescue in FACE],
    )


def _favours(left: Axes, right: Axes, arms: Arms) -> None:
    """Above the panels, which way of the vertical axis favours which arm."""
    treatment, control = short(arms.treatment, 40), short(arms.control, 40)
    for ax, x, text in ((left, 0, f"↑ favours {treatment}"), (right, 1, f"↓ favours {control}")):
        words = ax.annotate(
            text, (x, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
            ha="right" if x else "left", va="bottom", fontsize=8, color=GREY, annotation_clip=False,
        )  # fmt: skip
        # They reach over the next panel, which makes no room for them; the empty title keeps the room above.
        words.set_in_layout(False)
        ax.set_title(" ", fontsize=8)


def _draw_sweep(ax: Axes, line: Sequence[tuple[float, float, Result]], rescue: str, planned: float | None) -> None:
    ax.vlines(
        [at for _, at, _ in line], [r.lower * 100 for *_, r in line], [r.upper * 100 for *_, r in line],
        color=INK, linewidth=0.9,
    )  # fmt: skip
    for x, at, r in line:
        main = x == planned
        ax.plot(
            [at], [r.value * 100], marker="D" if main else "o", color=INK, markersize=5 if main else 3.5,
            markerfacecolor=FACE[rescue], markeredgewidth=0.9, linestyle="none",
        )  # fmt: skip


def _sweep_row(sweep: str, x: float, rescue: str, r: Result) -> dict[str, object]:
    return {
        "rule": SWEEP_NAMES[sweep],
        "threshold": x,
        "rescue": rescue,
        "difference": r.value * 100,
        "lower": r.lower * 100,
        "upper": r.upper * 100,
    }


def _rules_alt(rows: Sequence[dict[str, object]]) -> str:
    known = sorted(float(row["difference"]) for row in rows if row["difference"] == row["difference"])  # type: ignore[arg-type]
    if not known:
        return "No definition of response gives an estimate."
    low, high = (format_points(value / 100) for value in (known[0], known[-1]))
    return f"Estimated differences under {len(known)} definitions of response lie between {low} and {high} points."


# --- specification curve ----------------------------------------------------------------------------------------------


def specification_figure(results: Results, study: Study) -> Figure:
    """The estimates of all specifications in order, and beneath each the choices that make it."""
    arms, alpha = study.arms, study.parameters.alpha
    rows = sorted(
        (r for r in results.select("robustness.choice").values() if r.estimable),
        key=lambda r: (to_sort_by(r.value), r.id),
    )
    dimensions = choices(study.parameters)
    lines = sum(len(names) + 1 for names in dimensions.values())
    drawing, (curve, board) = canvas(2.3 + 0.145 * lines, rows=2, sharex=True, height_ratios=[2.3, 0.145 * lines])
    _draw_curve(curve, rows, study)
    _draw_board(board, rows, dimensions, alpha)
    found = [conclusion(r, alpha) for r in rows]
    return figure(
        drawing,
        label="fig-specifications",
        caption=(
            f"Specification curve: treatment difference in response at month {study.parameters.primary_month:g} under "
            f"{len(rows)} combinations of choices, in order of the estimate, with confidence intervals; beneath each "
            "estimate the choices that make it. The diamond is the main analysis; colour marks p ≤ "
            f"{alpha:g} in favour of {arms.treatment} (blue) or {arms.control} (orange)."
        ),
        alt=(
            f"{len(rows)} estimates{_ends(rows)}; {found.count('treatment')} favour {arms.treatment} and "
            f"{found.count('control')} favour {arms.control} at p ≤ {alpha:g}."
        ),
        data=_curve_data(rows, dimensions),
        results=[r.id for r in rows],
    )


def _ends(rows: Sequence[Result]) -> str:
    return f" from {format_points(rows[0].value)} to {format_points(rows[-1].value)} points" if rows else ""


def _draw_curve(ax: Axes, rows: Sequence[Result], study: Study) -> None:
    colours = [SEEN[conclusion(r, study.parameters.alpha) or "none"] for r in rows]
    x = np.arange(len(rows))
    ax.vlines(x, [r.lower * 100 for r in rows], [r.upper * 100 for r in rows], colors=colours, linewidth=0.6, alpha=0.6)
    for seen in dict.fromkeys(colours):
        at = [k for k, colour in enumerate(colours) if colour == seen]
        ax.plot(at, [rows[k].value * 100 for k in at], ".", color=INK if seen == GREY else seen, markersize=3)
    for k, r in enumerate(rows):
        if r.id == planned_id(study.parameters):
            ax.plot([k], [r.value * 100], marker="D", color=INK, markersize=6, zorder=4)
            ax.annotate(
                "main analysis", (k, r.value * 100), xytext=(0, 26), textcoords="offset points", ha="center",
                fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": INK, "shrinkB": 4},
            )  # fmt: skip
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.set_ylabel("Difference, percentage points")
    ax.tick_params(axis="x", bottom=False)
    ax.spines["bottom"].set_visible(False)
    _favours(ax, ax, study.arms)


def _draw_board(ax: Axes, rows: Sequence[Result], dimensions: dict[str, dict[str, str]], alpha: float) -> None:
    words = [r.id.split(".")[2:] for r in rows]
    colours = [SEEN[conclusion(r, alpha) or "none"] for r in rows]
    ticks: list[tuple[int, str, bool]] = []
    y = 0
    for place, (heading, names) in enumerate(dimensions.items()):
        ticks.append((y, heading, True))
        for word, name in names.items():
            y += 1
            ticks.append((y, name, False))
            at = [k for k, chosen in enumerate(words) if chosen[place] == word]
            ax.vlines(at, y - 0.36, y + 0.36, colors=[colours[k] for k in at], linewidth=0.8)
        y += 1
    ax.set_ylim(y - 0.4, -0.6)
    ax.set_yticks([at for at, *_ in ticks], [name for _, name, _ in ticks])
    for label, (_, _, is_heading) in zip(ax.get_yticklabels(), ticks, strict=True):
        label.set_fontweight("semibold" if is_heading else "regular")
        label.set_fontsize(8)
    ax.tick_params(axis="both", length=0, labelbottom=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlim(-1, max(len(rows), 1))


def _curve_data(rows: Sequence[Result], dimensions: dict[str, dict[str, str]]) -> pd.DataFrame:
    records = []
    for r in rows:
        words = r.id.split(".")[2:]
        chosen = {heading: names[word] for (heading, names), word in zip(dimensions.items(), words, strict=True)}
        records.append({**chosen, "difference": r.value, "lower": r.lower, "upper": r.upper, "p": r.p, "id": r.id})
    return pd.DataFrame(records, columns=[*dimensions, "difference", "lower", "upper", "p", "id"])
