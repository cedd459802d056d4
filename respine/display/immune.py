"""The immune response in tables, figures and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from respine.analyses.immune import CLASSES, MONTHS, QUANTILES, ROLES
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.figures import Series, n_under_axis
from respine.display.numbers import format_level, format_percent, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, LINE, MARKER, canvas
from respine.display.tables import EMPTY, Comparison, comparison_table, footnotes
from respine.results import Result, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASS_NAMES = {"dsa1": "Class I", "dsa2": "Class II", "either": "Either class"}
STATUS_NAMES = {
    "baseline": "Positive before the injection",
    "new": "Newly positive after it",
    "never": "Negative throughout",
}
INTENSITIES = ("dsa1", "dsa2")
FLOOR = 1.0
"""Where the logarithmic axis ends: smaller intensities, 0 among them, are drawn here."""
NO_DATA = "No data on donor-specific antibodies"
NOBODY_LATER = "Nobody who was without donor-specific antibodies before the injection was tested later."


def has_data(results: Results) -> bool:
    """Whether anybody was tested."""
    return any(results[f"immune.tested.{role}"].value > 0 for role in ROLES)


def positivity_table(results: Results, arms: Arms, level: float) -> Table:
    """Participants with donor-specific antibodies by class and visit."""
    rows, ids = [], []
    for name in CLASSES:
        for month in MONTHS:
            by_arm = [results[f"immune.{name}.m{month:g}.{role}"] for role in ROLES]
            ids += [r.id for r in by_arm]
            stub = "Baseline" if month == 0 else f"Month {month:g}"
            rows.append(Row(stub, tuple(cell for r in by_arm for cell in _share_cells(r)), CLASS_NAMES[name]))
    return Table(
        label="tbl-immune",
        caption="Participants with donor-specific antibodies, by anti-HLA class and visit; safety set.",
        columns=("Visit", *("Tested", "Positive, n (%)", f"{format_level(level)} CI, %") * 2),
        rows=tuple(rows) if has_data(results) else (Row("No data", (EMPTY,) * 6),),
        spanners=((arms.treatment, 1, 3), (arms.control, 4, 6)),
        notes=(
            "CI, Clopper-Pearson confidence interval. Either class: positive if one class is, negative if both are.",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )


def _share_cells(result: Result) -> tuple[str, str, str]:
    """Tested, positive with percentage, interval in percent."""
    if not result.estimable:
        return (str(result.n), EMPTY, EMPTY)
    return (str(result.n), _share(result), format_result(result, "ci").replace("%", ""))


def _share(result: Result) -> str:
    return f"{format_result(result, 'count')} ({format_percent(result.value, result.n)})"


def _share_of(result: Result) -> str:
    return f"{format_result(result, 'count')} of {result.n} ({format_percent(result.value, result.n)})"


def new_table(results: Results, arms: Arms, level: float) -> Table:
    """Newly positive participants and the difference between the arms."""
    lines = []
    for name, heading in CLASS_NAMES.items():
        by_arm = [results[f"immune.new.{name}.{role}"] for role in ROLES]
        cells = [_share_of(r) if r.estimable else r for r in by_arm]
        lines.append(Comparison(heading, cells[0], cells[1], results[f"immune.new.{name}.difference"]))
    return comparison_table(
        lines,
        label="tbl-immune-new",
        caption="Participants with new donor-specific antibodies after the injection, n of N (%); safety set.",
        stub="Anti-HLA class",
        headings=(arms.treatment, arms.control),
        level=level,
        difference="Difference, points",
        p=False,
        notes=(
            "N, participants negative at baseline and tested later; new, positive at any later visit. Newcombe "
            f"intervals. Differences are {arms.treatment} − {arms.control}, in percentage points.",
        ),
    )


def response_table(results: Results, arms: Arms, month: float, level: float) -> Table:
    """Responders at the primary month by antibody status."""
    columns = (*ROLES, "overall")
    rows, ids = [], []
    for name, heading in STATUS_NAMES.items():
        cells = [results[f"immune.response.{name}.{arm}"] for arm in columns]
        ids += [r.id for r in cells]
        interval = format_result(cells[-1], "ci").replace("%", "") if cells[-1].estimable else EMPTY
        rows.append(Row(heading, (*(_share_of(r) if r.estimable else EMPTY for r in cells), interval)))
    return Table(
        label="tbl-immune-response",
        caption=(
            f"Responders at month {month:g} by status of donor-specific antibodies (either class), n of N (%); "
            "exploratory; randomised participants of the safety set."
        ),
        columns=("Antibody status", arms.treatment, arms.control, arms.overall, f"{format_level(level)} CI, %"),
        rows=tuple(rows),
        notes=(
            "N, participants of that status whose response is known, by the arm received. CI, Clopper-Pearson "
            "confidence interval of all participants of a status.",
        ),
        results=tuple(ids),
    )


def fluorescence_figure(results: Results, arms: Arms) -> Figure:
    """Mean fluorescence intensity over time: medians with quartiles and outer percentiles, on a logarithmic axis."""
    shown = results.select("immune.mfi")
    known = [r.value for r in shown.values() if r.estimable]
    drawing, axes = canvas(3.0 if known else 0.6, columns=2, sharey=True)
    if known:
        for ax, name in zip(axes, INTENSITIES, strict=True):
            _intensity(ax, results, name, arms)
        axes[0].set_ylim(max(FLOOR, min(known)) / 1.5, max(10 * FLOOR, *known) * 1.5)
        axes[0].set_ylabel("Mean fluorescence intensity")
        drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, handlelength=2.4)
    else:
        for ax in axes:
            ax.set_axis_off()
        axes[0].text(0, 0.5, f"{NO_DATA}.")
    n = [int(results[f"immune.tested.{role}"].value) for role in ROLES]
    low = any(value < FLOOR for value in known)
    return figure(
        drawing,
        label="fig-immune",
        caption=(
            "Donor-specific antibodies over time: median (marker), quartiles (thick line), 10th and 90th percentiles "
            "(thin line) of the mean fluorescence intensity, on a logarithmic axis; safety set, "
            f"{n[0]} ({arms.treatment}) and {n[1]} ({arms.control}) participants tested."
            + (f" Values under {FLOOR:g}, 0 among them, are drawn at {FLOOR:g}." if low else "")
        ),
        alt=_intensity_alt(results, arms),
        data=_intensity_frame(results, arms),
        results=list(shown),
    )


def _intensity(ax: Axes, results: Results, name: str, arms: Arms) -> None:
    left = name == INTENSITIES[0]
    series = []
    for role, shift in zip(ROLES, (-0.12, 0.12), strict=True):
        medians = [results[f"immune.mfi.{name}.m{month:g}.median.{role}"] for month in MONTHS]
        series.append(Series(role, arms[role] if left else "", medians))
        known = [r for r in medians if r.estimable]
        x = [float(r.visit or 0) + shift for r in known]
        for quantiles, width in {("p10", "p90"): 0.8, ("q1", "q3"): 2.6}.items():
            low, high = ([_drawn(results[r.id.replace("median", q)]) for r in known] for q in quantiles)
            ax.vlines(x, low, high, color=COLOUR[role], linewidth=width)
        ax.plot(
            x, [_drawn(r) for r in known], color=COLOUR[role], linestyle=LINE[role], marker=MARKER[role], linewidth=1,
            label=arms[role], zorder=3,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(f"Anti-HLA c{CLASS_NAMES[name][1:]}")
    ax.set_xticks(list(MONTHS), [f"{month:g}" for month in MONTHS])
    ax.set_xlim(min(MONTHS) - 0.8, max(MONTHS) + 0.6)
    ax.set_xlabel("Months since injection")
    n_under_axis(ax, series, months=MONTHS, title="n tested" if left else "")


def _drawn(result: Result) -> float:
    return max(result.value, FLOOR)


def _intensity_frame(results: Results, arms: Arms) -> pd.DataFrame:
    rows = []
    for name in INTENSITIES:
        for month in MONTHS:
            for role in ROLES:
                cells = {q: results[f"immune.mfi.{name}.m{month:g}.{q}.{role}"] for q in QUANTILES}
                values = {q: r.value for q, r in cells.items()}
                rows.append(
                    {"class": CLASS_NAMES[name], "month": month, "arm": arms[role], "n": cells["median"].n, **values}
                )
    return pd.DataFrame(rows)


def _intensity_alt(results: Results, arms: Arms) -> str:
    """The medians at the last visit with a result in either arm."""
    said = []
    for name in INTENSITIES:
        by_month = [[results[f"immune.mfi.{name}.m{month:g}.median.{role}"] for role in ROLES] for month in MONTHS]
        tested = [pair for pair in by_month if any(r.estimable for r in pair)]
        if tested:
            medians = (
                f"{format_result(r, 'number')} ({arms[role]})" for r, role in zip(tested[-1], ROLES, strict=True)
            )
            said.append(f"{CLASS_NAMES[name]}, month {tested[-1][0].visit:g}: median {' and '.join(medians)}")
    return f"{'; '.join(said) or NO_DATA}."


def sentences(results: Results, study: Study) -> Results:
    """Key finding and abstract, antibodies before the injection, and response by antibody status."""
    said = Results()
    if not has_data(results):
        for name in ("key", "abstract", "baseline", "response"):
            said.state(f"immune.{name}", f"{NO_DATA} are available.")
        return said
    difference = results["immune.new.either.difference"]
    new = _by_arm(results, "immune.new.either", study.arms)
    compared = f"{wording.sentence(wording.difference(difference, 'difference'))} {_reading(difference, study.arms)}"
    if new:
        said.state(
            "immune.key",
            "Among participants without donor-specific antibodies before the injection who were tested later, "
            f"antibodies of either class appeared in {new}. {compared}",
        )
        said.state("immune.abstract", f"New donor-specific antibodies appeared in {new}. {compared}")
    else:
        for name in ("key", "abstract"):
            said.state(f"immune.{name}", NOBODY_LATER)
    before = _by_arm(results, "immune.either.m0", study.arms)
    present = f"Before the injection, antibodies of either class were present in {before}."
    said.state("immune.baseline", present if before else "Nobody was tested before the injection.")
    said.state("immune.response", _response(results))
    return said


def _by_arm(results: Results, prefix: str, arms: Arms) -> str:
    """How many are positive, by arm; an arm without tests is said to be so. Empty where neither has any."""
    known, untested = [], ""
    for role in ROLES:
        if results[f"{prefix}.{role}"].estimable:
            known.append(f"{{{prefix}.{role}|fraction}} with {wording.literal(arms[role])}")
        else:
            untested += f" (nobody was tested with {wording.literal(arms[role])})"
    return wording.listed(known) + untested if known else ""


def _reading(difference: Result, arms: Arms) -> str:
    """Which way the interval points, or what it excludes."""
    treatment, control = wording.literal(arms.treatment), wording.literal(arms.control)
    if not difference.estimable:
        return "The arms cannot be compared."
    if difference.lower > 0 or difference.upper < 0:
        more, fewer = (treatment, control) if difference.lower > 0 else (control, treatment)
        return f"The interval excludes zero: antibodies appeared more often with {more} than with {fewer}."
    return (
        f"The interval includes zero and excludes an excess with {treatment} beyond "
        f"{{{difference.id}|upper}} percentage points."
    )


def _response(results: Results) -> str:
    new, never = (results[f"immune.response.{name}.overall"] for name in ("new", "never"))
    if not new.estimable:
        return "No participant with new antibodies has a known response."
    others = (
        f" and {{{never.id}|fraction}} of those negative throughout."
        if never.estimable
        else "; no response is known of those negative throughout."
    )
    return f"Responders were {{{new.id}|fraction}} of the newly positive{others}"
