"""Both co-primary endpoints together: the summary panel, the decision table and the conclusions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from respine.analyses.discussion import ENDPOINTS, PROCEDURES
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.numbers import format_p, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import GREY, INK, canvas, sides
from respine.display.tables import EMPTY, footnotes
from respine.results import Result, Results
from respine.trial.trial import ROLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"response": "Response", "structure": "Disc T2"}
UNITS = {"response": ("percentage points", 100.0), "structure": ("ms", 1.0)}
PROCEDURE_NAMES = {"both": "Both must succeed", "holm": "Holm", "sequence": "Fixed sequence"}


def summary_figure(results: Results, study: Study) -> Figure:
    """The two co-primary differences with their intervals, their lines of no difference one under the other."""
    drawing, axes = canvas(1.55, rows=2)
    rows = [results[f"discussion.{name}"] for name in ENDPOINTS]
    for ax, name, result in zip(axes, ENDPOINTS, rows, strict=True):
        unit, scale = UNITS[name]
        _interval(ax, result, scale)
        ax.set_yticks([0], [f"{NAMES[name]}, {unit}"])
        ax.annotate(
            f"{format_result(result, 'number')} ({format_result(result, 'ci')})" if result.estimable else result.note,
            (1.02, 0), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, annotation_clip=False,
        )  # fmt: skip
    arms = study.arms
    sides(axes[0], f"favours {arms.control}", f"favours {arms.treatment}")
    data = pd.DataFrame(
        [
            {
                "endpoint": NAMES[n],
                "unit": UNITS[n][0],
                "difference": r.value * s,
                "lower": r.lower * s,
                "upper": r.upper * s,
            }
            for n, r in zip(ENDPOINTS, rows, strict=True)
            for s in [UNITS[n][1]]
        ]
    )
    return figure(
        drawing,
        label="fig-summary",
        caption=(
            f"Both co-primary endpoints at month {study.parameters.primary_month:g}: treatment differences "
            f"({arms.treatment} − {arms.control}) with confidence intervals; response in {rows[0].n_treatment} and "
            f"{rows[0].n_control}, T2 in {rows[1].n_treatment} and {rows[1].n_control} participants."
        ),
        alt="; ".join(
            f"{NAMES[n]}: difference {format_result(r, 'full')}" for n, r in zip(ENDPOINTS, rows, strict=True)
        ),
        data=data,
        results=[r.id for r in rows],
    )


def _interval(ax: Axes, result: Result, scale: float) -> None:
    limits = [abs(v) * scale for v in (result.value, result.lower, result.upper) if not math.isnan(v)]
    reach = 1.15 * max(limits, default=1.0) or 1.0
    # The same reach on both sides puts the lines of no difference one under the other.
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-0.6, 0.6)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if result.estimable:
        ax.plot([result.lower * scale, result.upper * scale], [0, 0], color=INK, linewidth=1.1, solid_capstyle="butt")
        ax.plot([result.value * scale], [0], marker="D", color=INK, markersize=6)


def decision_table(results: Results, arms: Arms, alpha: float) -> Table:
    """P-values of both endpoints, raw and under each procedure, with the decision."""
    ids = [f"discussion.{name}" for name in ENDPOINTS]
    rows = [Row("Unadjusted", (*(_p(results[id]) for id in ids), EMPTY))]
    for slug in PROCEDURES:
        adjusted = [results[f"discussion.{slug}.{name}"] for name in ENDPOINTS]
        ids += [r.id for r in adjusted]
        reached = [NAMES[n] for n, r in zip(ENDPOINTS, adjusted, strict=True) if r.p <= alpha]
        rows.append(
            Row(PROCEDURE_NAMES[slug], (*(_p(r) for r in adjusted), wording.listed(reached) if reached else "none"))
        )
    return Table(
        label="tbl-decision",
        caption="P-values of the co-primary endpoints, unadjusted and under each multiple test procedure.",
        columns=("Procedure", *(NAMES[name] for name in ENDPOINTS), "Endpoints reached"),
        rows=tuple(rows),
        text_columns=frozenset({3}),
        notes=(
            f"An endpoint is reached where its adjusted p-value is at most {alpha:g} and the difference favours "
            f"{arms.treatment}; a difference in favour of {arms.control} enters the procedures with p = 1. The plan "
            "asks that both succeed; the other procedures stand beside.",
            *footnotes(results[id] for id in ids),
        ),
        results=tuple(ids),
    )


def _p(result: Result) -> str:
    return EMPTY if math.isnan(result.p) else format_p(result.p)


WORDS = {"response": "response", "structure": "the change in disc T2"}


def _conclusion(rows: Mapping[str, Result], study: Study) -> str:
    """The verdict on both endpoints together: each was reached, failed, favoured the control or is unknown."""
    alpha, month = study.parameters.alpha, study.parameters.primary_month
    treatment, control = (wording.literal(study.arms[role]) for role in ("treatment", "control"))
    reached = [n for n in ENDPOINTS if wording.succeeded(rows[n], alpha, higher_is_better=True)]
    harmed = [n for n in ENDPOINTS if wording.differs(rows[n], alpha) and n not in reached]
    unknown = [n for n in ENDPOINTS if math.isnan(rows[n].p)]
    failed = [n for n in ENDPOINTS if n not in (*reached, *unknown)]
    if len(reached) == len(ENDPOINTS):
        return (
            f"One injection of {treatment} was superior to {control} on both co-primary endpoints at month "
            f"{month:g}: the trial reached its primary objective."
        )
    if len(failed) == len(ENDPOINTS) and not harmed:
        return (
            f"One injection of {treatment} was not shown to be superior to {control} on either co-primary endpoint at "
            f"month {month:g}: the trial did not reach its primary objective."
        )
    clauses = [f"{treatment} was superior on {_names(reached)}"] if reached else []
    if reached and failed and not harmed:
        clauses[0] += f" but not on {_names(failed)}"
    elif failed and not harmed:
        clauses.append(f"{treatment} was not shown to be superior on {_names(failed)}")
    elif harmed:
        clauses.append(f"{control} was superior on {_names(harmed)}")
        unshown = [n for n in failed if n not in harmed]
        clauses += [f"no difference was shown in {_names(unshown)}"] if unshown else []
    clauses += [f"{_names(unknown)} could not be compared"] if unknown else []
    outcome = (
        "since both had to succeed, the trial did not reach its primary objective"
        if failed
        else "the trial cannot be judged on both co-primary endpoints"
    )
    # A comma, for the names inside a clause are joined by "and" as well.
    said = clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
    return f"At month {month:g} {said}: {outcome}."


def _names(endpoints: Sequence[str]) -> str:
    return wording.listed([WORDS[n] for n in endpoints])


def _limitations(results: Results, study: Study) -> str:
    """What this data set itself cannot tell: missing responses, and whether anybody in it is real."""
    unknown = [results[f"discussion.unknown.{role}"] for role in ROLES]
    by_arm = wording.listed([f"{{{r.id}}} of {{{r.id}|n}} with {wording.literal(study.arms[r.arm])}" for r in unknown])
    missing = (
        f"The response is unknown in {by_arm}; the main analysis supposes that it is missing at random given arm, "
        "country and the scores that are known, which no data can confirm."
        if any(r.value for r in unknown)
        else "The response of every randomised participant is known."
    )
    made = " The data are synthetic: nothing here is evidence on the treatment." if study.trial.info.synthetic else ""
    return missing + made


def sentences(results: Results, study: Study) -> Results:
    """The conclusion of the trial, and what its intervals exclude."""
    said = Results()
    rows = {name: results[f"discussion.{name}"] for name in ENDPOINTS}
    said.state("discussion.conclusion", _conclusion(rows, study))
    said.state(
        "discussion.excluded", wording.excluded(rows["response"], "difference in response", higher_is_better=True)
    )
    said.state(
        "discussion.structure_excluded",
        wording.excluded(rows["structure"], "difference in the change of T2", higher_is_better=True),
    )
    said.state("discussion.limitations", _limitations(results, study))
    decisions = {
        slug: tuple(results[f"discussion.{slug}.{name}"].p <= study.parameters.alpha for name in ENDPOINTS)
        for slug in PROCEDURES
    }
    same = len({all(d) for d in decisions.values()}) == 1
    said.state(
        "discussion.procedures",
        "Without a p-value for each endpoint no procedure can find that both were reached."
        if any(math.isnan(r.p) for r in rows.values())
        else "All procedures agree on whether both endpoints were reached."
        if same
        else "The procedures disagree on whether both endpoints were reached.",
    )
    return said
