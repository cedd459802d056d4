"""The questionnaire scores in tables, figures and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from respine.analyses.secondary import SCORES, SUMMARIES, adjusted_p, any_difference, important_change, unit
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.figures import Series, n_under_axis, over_time
from respine.display.numbers import format_level, format_p, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import GREY, better, canvas
from respine.display.tables import EMPTY, Comparison, comparison_table, footnotes
from respine.results import Result, Results, to_sort_by
from respine.trial.contract import PARAMETERS
from respine.trial.trial import ROLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"VASPAIN": "Pain (VAS)", "ODI": "Disability (ODI)"} | {
    code: p.label.removesuffix(" summary") for code, p in PARAMETERS.items() if code.startswith("SF36")
}
"""What tables and figures call a score."""
GROUPS = {"VASPAIN": "Pain and disability", "ODI": "Pain and disability"} | dict.fromkeys(
    ("SF36PCS", "SF36MCS"), "SF-36 components"
)
NOUNS = {"VASPAIN": "pain", "ODI": "disability"}
SCALES = tuple(code for code in SCORES if code not in SUMMARIES)
_LS_MEAN = "Change, least-squares mean of the mixed model; CI, confidence interval."


def named(code: str) -> str:
    """A score inside a sentence: ``pain (VAS)``, but ``SF-36 vitality``."""
    name = NAMES[code]
    return name if name.startswith("SF-36") else name[0].lower() + name[1:]


def available(results: Results) -> list[str]:
    """The scores that were analysed."""
    return list(adjusted_p(results))


def _difference(results: Results, code: str, visit: str = "primary") -> Result:
    return results[f"secondary.{code.lower()}.{visit}.difference"]


def _by_visit(results: Results, code: str, arm: str) -> list[Result]:
    """The mixed model's results for an arm or the difference, in the order of visits."""
    rows = results.select(f"secondary.{code.lower()}").values()
    found = [r for r in rows if r.id.rpartition(".")[2] == arm]
    return sorted(found, key=lambda r: r.visit or 0.0)


# Tables.


def scores_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """All scores at the primary month: change by arm, difference, raw and adjusted p-value, Hedges' g."""
    rows, shown = [], []
    for code in available(results):
        prefix = f"secondary.{code.lower()}.primary"
        by_arm = [results[f"{prefix}.{role}"] for role in ROLES]
        difference, g, adjusted = (results[f"{prefix}.{name}"] for name in ("difference", "g", "holm"))
        cells = [cell for r in by_arm for cell in (str(r.n), _with_interval(r))]
        cells += [_number(difference), _interval(difference), _p(difference), _p(adjusted), _number(g)]
        rows.append(Row(_with_unit(code), tuple(cells), GROUPS.get(code, "SF-36 scales")))
        shown += [*by_arm, difference, g, adjusted]
    differences = [_difference(results, code) for code in available(results)]
    interval = f"{format_level(level)} CI"
    return Table(
        label="tbl-secondary",
        caption=f"All questionnaire scores at month {month:g}: change from baseline; modified intention-to-treat set.",
        columns=(
            "Score", "n", f"Change ({interval})", "n", f"Change ({interval})", "Difference", interval, "p", "p (Holm)",
            "g",
        ),
        rows=tuple(rows) or (Row("No data", (EMPTY,) * 9),),
        spanners=((arms.treatment, 1, 2), (arms.control, 3, 4)),
        notes=(
            f"{_LS_MEAN} g, Hedges' g of the observed changes. Differences are {arms.treatment} − {arms.control}; "
            "negative favours it for pain and disability, positive for the SF-36.",
            *_methods(differences),
            *dict.fromkeys(f"{r.method}." for r in adjusted_p(results).values()),
            *footnotes(shown),
        ),
        results=tuple(r.id for r in shown),
    )  # fmt: skip


def visits_table(results: Results, arms: Arms, level: float, codes: Sequence[str], label: str) -> Table:
    """Change and difference of some scores at every visit."""
    lines = []
    present = [code for code in codes if code in available(results)]
    for code in present:
        treatment, control, difference = (_by_visit(results, code, arm) for arm in (*ROLES, "difference"))
        lines += [
            Comparison(f"Month {d.visit:g}", _with_interval(t), _with_interval(c), d, _with_unit(code))
            for t, c, d in zip(treatment, control, difference, strict=True)
        ]
    of = "Pain, disability and the SF-36 components" if "VASPAIN" in codes else "The SF-36 scales"
    differences = [d for code in present for d in _by_visit(results, code, "difference")]
    return comparison_table(
        lines or [Comparison("No data", EMPTY, EMPTY)],
        label=label,
        caption=f"{of} by visit: change from baseline with confidence interval; modified intention-to-treat set.",
        stub="Visit",
        headings=(arms.treatment, arms.control),
        level=level,
        notes=(
            f"{_LS_MEAN} Differences are {arms.treatment} − {arms.control}; p-values are not adjusted for "
            "multiplicity.",
            *_methods(differences),
        ),
    )


def _methods(differences: Sequence[Result]) -> list[str]:
    """The models used, each with its scores where there are several."""
    scores: dict[str, dict[str, None]] = {}
    for r in differences:
        scores.setdefault(r.method, {})[named(r.parameter)] = None
    if len(scores) < 2:
        return [f"{method}." for method in scores]
    return [f"{method}: {wording.listed(list(names))}." for method, names in scores.items()]


def _with_unit(code: str) -> str:
    return f"{NAMES[code]}, {unit(code)}"


def _with_interval(result: Result) -> str:
    return EMPTY if not result.estimable else f"{_number(result)} ({_interval(result)})"


def _number(result: Result) -> str:
    return format_result(result, "number") if result.estimable else EMPTY


def _interval(result: Result) -> str:
    return format_result(result, "ci") if result.estimable and not math.isnan(result.lower) else EMPTY


def _p(result: Result) -> str:
    return EMPTY if math.isnan(result.p) else format_p(result.p)


# Figure.


def course_figure(results: Results, study: Study) -> Figure:
    """Mean change by visit and arm: pain, disability and the two components of the SF-36."""
    drawing, axes = canvas(5.8, columns=2, rows=2, gridspec_kw={"hspace": 0.12})
    data = []
    for place, (ax, code) in enumerate(zip(axes, SUMMARIES, strict=True)):
        name = {role: study.arms[role] for role in ROLES}
        series = [Series(role, name[role], _by_visit(results, code, role)) for role in ROLES]
        shown = [r for s in series for r in s.results]
        ax.set_title(NAMES[code], pad=14)
        if not shown:
            ax.set_axis_off()
            ax.text(0.5, 0.5, f"No data on {named(code)}", ha="center", va="center", transform=ax.transAxes)
            continue
        data += [_drawn(r, study.arms) for r in shown]
        visits = sorted({float(r.visit or 0) for r in shown})
        least = important_change(study, code)
        _mcid_line(ax, least)
        # The arms are named once a row: at the right for the lines, at the left for the numbers.
        right = place % 2 == 1
        lines = [Series(s.role, s.label if right else "", s.results) for s in series]
        over_time(ax, lines, months=visits, ylabel=f"Change, {unit(code)}", null=0)
        under = [Series(s.role, "" if right else s.label, s.results) for s in series]
        n_under_axis(ax, under, months=visits, title="" if right else "n with data")
        better(ax, lower_is_better=least < 0)
        ax.set_xlabel("Months since injection")
    return figure(
        drawing,
        label="fig-secondary",
        caption=(
            "Change from baseline in pain, disability and the components of the SF-36: least-squares means of the "
            "mixed model with confidence intervals, and the participants with data at each visit; modified "
            "intention-to-treat set. Dotted: minimal clinically important difference (MCID)."
        ),
        alt=_course_alt(results, study),
        data=pd.DataFrame(data, columns=["score", "month", "arm", "change", "lower", "upper", "n"]),
        results=[r.id for code in SUMMARIES for role in ROLES for r in _by_visit(results, code, role)],
    )


def _mcid_line(ax: Axes, least: float) -> None:
    """The minimal clinically important difference; its name stands towards no change, where the curves leave room."""
    ax.axhline(least, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    ax.annotate(
        "MCID", (0.72, least), xycoords=("axes fraction", "data"), xytext=(0, 2 if least < 0 else -2),
        textcoords="offset points", ha="center", va="bottom" if least < 0 else "top", fontsize=8, color=GREY,
    )  # fmt: skip


def _drawn(r: Result, arms: Arms) -> dict[str, object]:
    return {
        "score": NAMES[r.parameter], "month": r.visit, "arm": arms[r.arm], "change": r.value, "lower": r.lower,
        "upper": r.upper, "n": r.n,
    }  # fmt: skip


def _course_alt(results: Results, study: Study) -> str:
    parts = [
        f"{NAMES[code]}: {format_result(_difference(results, code), 'full')}"
        for code in SUMMARIES
        if code in available(results)
    ]
    month = study.parameters.primary_month
    return f"Treatment differences at month {month:g}: {'; '.join(parts)}." if parts else "No data."


# Sentences.


def sentences(results: Results, study: Study) -> Results:
    """Key finding, abstract, models, scores left out."""
    said = Results()
    month, present = study.parameters.primary_month, available(results)
    differences = {noun: _difference(results, code) for code, noun in NOUNS.items() if code in present}
    found = [_said(r, noun) for noun, r in differences.items()]
    favours = f"negative favours {wording.literal(study.arms.treatment)}"
    compared = any(r.estimable for r in differences.values())
    what = "the treatment difference in the change from baseline"
    pair = (
        [f"At month {month:g} {what} ({favours}) was {wording.listed(found)}."]
        if compared
        else [f"At month {month:g} {what} in {wording.listed(list(differences))} could not be estimated."]
        if differences
        else []
    )
    key = " ".join([*pair, _after_adjustment(results, study)])
    said.state("secondary.key", key)
    said.state("secondary.abstract", key)
    said.state(
        "secondary.excluded",
        wording.excluded(_difference(results, "VASPAIN"), "difference in pain", higher_is_better=False)
        if "VASPAIN" in present
        else "Pain was not measured after baseline.",
    )
    said.state("secondary.available", _left_out(present))
    said.state("secondary.models", _models([_difference(results, code) for code in present]))
    return said


def _said(difference: Result, noun: str) -> str:
    return f"{{{difference.id}|full}} for {noun}" if difference.estimable else f"not estimable for {noun}"


def _after_adjustment(results: Results, study: Study) -> str:
    """How many scores differ at the primary month after Holm's adjustment, and in whose favour."""
    alpha, month = study.parameters.alpha, study.parameters.primary_month
    family = adjusted_p(results)
    compared = {code: r for code, r in family.items() if r.estimable}
    differ = any_difference(results, alpha)
    if differ is None:
        return f"No questionnaire score could be compared at month {month:g}."
    # A score that could not be compared keeps its place in the family.
    scores = wording.counted(len(family), "questionnaire score")
    if not differ:
        smallest = min(compared.values(), key=lambda r: to_sort_by(r.p))
        return (
            f"After Holm's adjustment over {scores} no difference was shown at month {month:g} (smallest adjusted "
            f"{{{smallest.id}|p}})."
        )
    favoured: dict[str, list[str]] = {"treatment": [], "control": []}
    for code, r in compared.items():
        if r.p <= alpha:
            higher = PARAMETERS[code].better == "higher"
            ours = wording.favours_treatment(_difference(results, code), higher_is_better=higher)
            favoured["treatment" if ours else "control"].append(named(code))
    sides = {wording.literal(study.arms[role]): names for role, names in favoured.items() if names}
    n = sum(len(names) for names in sides.values())
    if n == len(family) and len(sides) == 1:
        every = {1: "the one questionnaire score", 2: "both questionnaire scores"}.get(n, f"all {scores}")
        return f"After Holm's adjustment {every} differed at month {month:g}, in favour of {next(iter(sides))}."
    which = [f"{wording.listed(names)} in favour of {arm}" for arm, names in sides.items()]
    return f"After Holm's adjustment {n} of {scores} differed at month {month:g}: {'; '.join(which)}."


def _left_out(present: Sequence[str]) -> str:
    absent = [named(code) for code in SCORES if code not in present]
    if not absent:
        return "Every score of the plan was measured at baseline and after it."
    if not present:
        return "No questionnaire score was measured both at baseline and after it."
    return f"Without a value at baseline and after it, and so left out: {wording.listed(absent)}."


def _models(differences: Sequence[Result]) -> str:
    """Which covariance structures were used."""
    fitted: dict[str, list[Result]] = {}
    for r in differences:
        if r.estimable:
            fitted.setdefault(r.method, []).append(r)
    if not fitted:
        return "No mixed model gave an estimate at this visit."
    if len(fitted) == 1:
        return f"The same model was used for every score: {{{next(iter(fitted.values()))[0].id}|method}}."
    parts = [
        f"{{{rows[0].id}|method}} for {wording.listed([named(r.parameter) for r in rows])}" for rows in fitted.values()
    ]
    return f"Not every score allowed the same covariance structure: {'; '.join(parts)}."
