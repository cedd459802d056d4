"""Co-primary 2 in tables, figures and sentences."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from respine.analyses.structure import ROLES
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.figures import Series, n_under_axis, over_time
from respine.display.numbers import format_number, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import better, canvas
from respine.display.tables import EMPTY, Comparison, Line, comparison_table, estimate_table
from respine.results import Result, Results


def months(results: Results) -> list[float]:
    """Visits after baseline with T2 measured in anybody."""
    return sorted({r.visit for r in results.select("structure.observed").values() if r.visit is not None})


def observed_table(results: Results, arms: Arms) -> Table:
    """T2 and its change by visit, as observed."""
    rows, ids = [], []
    for name, heading in (("value", "T2, mean (SD), ms"), ("change", "Change from baseline, mean (SD), ms")):
        for month in months(results):
            cells = []
            for role in ROLES:
                prefix = f"structure.observed.m{month:g}.{name}"
                mean, sd = results[f"{prefix}.mean.{role}"], results[f"{prefix}.sd.{role}"]
                ids += [mean.id, sd.id]
                cells += [str(mean.n), _mean_sd(mean, sd)]
            rows.append(Row(f"Month {month:g}", tuple(cells), heading))
    if not rows:
        rows = [Row("No data", (EMPTY,) * 4)]
    return Table(
        label="tbl-structure-observed",
        caption="Disc T2 relaxation time, as observed; modified intention-to-treat set.",
        columns=("Visit", "n", "Mean (SD)", "n", "Mean (SD)"),
        spanners=((arms.treatment, 1, 2), (arms.control, 3, 4)),
        rows=tuple(rows),
        notes=("SD, standard deviation. Participants with a value at baseline and at the visit.",),
        results=tuple(ids),
    )


def _mean_sd(mean: Result, sd: Result) -> str:
    if not mean.estimable:
        return EMPTY
    spread = format_number(sd.value, 1) if sd.estimable else EMPTY
    return f"{format_result(mean, 'number')} ({spread})"


def main_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """The treatment difference in the change of T2, main analysis first."""
    candidates = {
        "structure.main": "Analysis of covariance (main analysis)",
        "structure.robust": "Analysis of covariance, HC3 standard errors",
        "structure.mmrm.primary.difference": "Mixed model over all imaging visits",
        "structure.g": "Hedges' g of the change, standard deviations",
    }
    lines = [Line(stub, results[id]) for id, stub in candidates.items() if id in results]
    table = estimate_table(
        lines,
        label="tbl-structure",
        caption=f"Treatment difference in the change of T2 at month {month:g}, ms; modified intention-to-treat set.",
        stub="Analysis",
        estimate="Difference",
        level=level,
        headings=(f"n {arms.treatment}", f"n {arms.control}"),
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, adjusted for baseline T2 and country; Hedges' g is "
            "unadjusted.",
            *_means(results, arms),
        ),
    )
    return replace(table, results=(*table.results, *(f"structure.lsmean.{role}" for role in ROLES)))


def _means(results: Results, arms: Arms) -> list[str]:
    """The mean change of each arm in the main analysis, for the footnote."""
    means = [results[f"structure.lsmean.{role}"] for role in ROLES]
    known = [f"{arms[r.arm]} {format_result(r, 'full')}" for r in means if r.estimable]
    return [f"Least-squares mean changes of the main analysis: {wording.listed(known)}."] if known else []


def visits_table(results: Results, arms: Arms, level: float) -> Table:
    """Least-squares means of the mixed model by visit."""
    lines = []
    differences = [r for r in results.select("structure.mmrm").values() if r.arm == "difference"]
    for difference in sorted(differences, key=lambda r: r.visit or 0):
        prefix = difference.id.removesuffix(".difference")
        by_arm = [results.get(f"{prefix}.{role}", EMPTY) for role in ROLES]
        lines.append(Comparison(f"Month {difference.visit:g}", by_arm[0], by_arm[1], difference))
    return comparison_table(
        lines or [Comparison("No data", EMPTY, EMPTY)],
        label="tbl-structure-visits",
        caption="Change in T2 by visit, least-squares means of the mixed model, ms; modified intention-to-treat set.",
        stub="Visit",
        headings=(arms.treatment, arms.control),
        level=level,
        part="interval",
        notes=tuple(dict.fromkeys(r.method for r in differences)),
    )


def course_figure(results: Results, study: Study) -> Figure:
    """Mean change in T2 over time."""
    drawing, (ax,) = canvas(2.9)
    arms = study.arms
    series = [Series(role, arms[role], sorted(_by_role(results, role), key=lambda r: r.visit or 0)) for role in ROLES]
    at = [float(m) for m in months(results)]
    if at:
        over_time(ax, series, months=at, ylabel="Change in T2, ms", null=0)
        n_under_axis(ax, series, months=at)
        better(ax, lower_is_better=False)
    else:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "No T2 measurement after baseline", ha="center", va="center")
    ax.set_xlabel("Months since injection")
    main = results["structure.main"]
    shown = [r for s in series for r in s.results]
    data = pd.DataFrame(
        [
            {"month": r.visit, "arm": arms[r.arm], "mean": r.value, "lower": r.lower, "upper": r.upper, "n": _n(r)}
            for r in shown
        ],
        columns=["month", "arm", "mean", "lower", "upper", "n"],
    )
    return figure(
        drawing,
        label="fig-structure",
        caption=(
            "Change in the disc's T2 relaxation time from baseline: least-squares means of the mixed model with "
            "confidence intervals, and the participants with data at each visit; modified intention-to-treat set."
        ),
        alt=(
            f"Treatment difference in the change of T2 at month {study.parameters.primary_month:g}: "
            f"{format_result(main, 'full')}."
        ),
        data=data,
        results=[r.id for r in shown],
    )


def _by_role(results: Results, role: str) -> list[Result]:
    return [r for r in results.select("structure.mmrm").values() if r.arm == role]


def _n(result: Result) -> int | None:
    return result.n_treatment if result.arm == "treatment" else result.n_control


def _verdict_side(result: Result, alpha: float) -> int:
    """1 for a difference in the treatment's favour, -1 in the control's, 0 for none."""
    if not wording.differs(result, alpha):
        return 0
    return 1 if wording.favours_treatment(result, higher_is_better=True) else -1


def sentences(results: Results, study: Study) -> Results:
    """Verdict, key finding and abstract of the second co-primary endpoint."""
    said = Results()
    main, alpha = results["structure.main"], study.parameters.alpha
    control = wording.literal(study.arms.control)
    verdict = wording.verdict(main, "The second co-primary endpoint", alpha, control, higher_is_better=True)
    favours = f"positive favours {wording.literal(study.arms.treatment)}"
    difference = wording.difference(
        main, f"treatment difference in the change of T2 from baseline to month {main.visit:g} ({favours})"
    )
    said.state("structure.verdict", verdict)
    said.state("structure.excluded", wording.excluded(main, "difference in the change of T2", higher_is_better=True))
    said.state("structure.key", f"{wording.sentence(difference)} {verdict}")
    said.state("structure.abstract", f"{wording.sentence(difference)} {verdict}")
    mixed = results.get("structure.mmrm.primary.difference")
    if mixed is None or not wording.tested(mixed):
        agrees = "The mixed model gives no verdict at this visit."
    elif not wording.tested(main):
        agrees = "Without a verdict of the main analysis the mixed model has nothing to be compared with."
    elif _verdict_side(mixed, alpha) == _verdict_side(main, alpha):
        agrees = "The mixed model over all imaging visits leads to the same verdict."
    else:
        agrees = "The mixed model over all imaging visits leads to another verdict."
    said.state("structure.mixed", agrees)
    return said
