"""Subgroups of the primary response in tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from respine.analyses.study import Arms, Study
from respine.analyses.subgroups import SUBGROUPS, levels
from respine.display import wording
from respine.display.baseline import LEVELS
from respine.display.figures import ForestRow, forest
from respine.display.numbers import format_percent, format_result
from respine.display.outputs import Figure, Table
from respine.display.tables import EMPTY, Comparison, comparison_table
from respine.results import Result, Results, to_sort_by
from respine.trial.trial import ROLES

CUTS = {
    "PFIRRMANN": {"lt6": "grade 5 or lower", "ge6": "grade 6 or higher"},
    "MODIC": {"lt1": "none", "ge1": "any type"},
}
"""Names of levels where a cut point would read badly."""


def heading(results: Results, name: str) -> str:
    """A subgroup with its interaction p-value."""
    interaction = results[f"subgroups.{name.lower()}.interaction"]
    p = format_result(interaction, "p") if interaction.estimable else "not estimable"
    return f"{SUBGROUPS[name].label} (interaction {p})"


def level_name(name: str, level: str) -> str:
    """A level as a reader sees it."""
    subgroup = SUBGROUPS[name]
    if subgroup.cut is not None:
        sign = "<" if level.startswith("lt") else "≥"
        unit = f"\u00a0{subgroup.unit}" if subgroup.unit else ""
        return CUTS.get(name, {}).get(level, f"{sign}\u00a0{subgroup.cut}{unit}")
    return LEVELS.get(name, {}).get(level, level.upper())


def tested(results: Results) -> list[str]:
    """The subgroups that the results hold, in order."""
    return [id.split(".")[1].upper() for id in results if id.endswith(".interaction")]


def forest_figure(results: Results, study: Study) -> Figure:
    """The treatment difference in each subgroup on one axis."""
    overall = results["subgroups.overall.difference"]
    rows = [ForestRow("All participants", overall, main=True, n=_n(overall))]
    for name in tested(results):
        rows.append(ForestRow(heading(results, name)))
        for level in levels(results, name):
            difference = results[f"subgroups.{name.lower()}.{level}.difference"]
            rows.append(ForestRow(level_name(name, level), difference, n=_n(difference)))
    month = study.parameters.primary_month
    return forest(
        rows,
        label="fig-subgroups",
        caption=(
            f"Treatment difference in response at month {month:g} in subgroups ({study.arms.treatment} − "
            f"{study.arms.control}), with Newcombe confidence intervals and the participants of each arm; complete "
            f"cases of the intention-to-treat set, n = {_n(overall)}. Unadjusted."
        ),
        alt=_alt(results),
        xlabel="Difference in responders, percentage points",
        arms=study.arms,
        scale=100,
    )


def _alt(results: Results) -> str:
    tests = [f"{heading(results, name)}" for name in tested(results)]
    overall = format_result(results["subgroups.overall.difference"], "full")
    return f"All participants: {overall}. {'; '.join(tests)}."


def _n(difference: Result) -> str:
    return f"{difference.n_treatment} and {difference.n_control}"


def subgroups_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """Responders by arm, difference and interaction in each subgroup."""
    lines = [_line(results, "All participants", "overall")]
    for name in tested(results):
        group = heading(results, name)
        own = [_line(results, level_name(name, one), f"{name.lower()}.{one}", group) for one in levels(results, name)]
        lines += own or [Comparison("No data", EMPTY, EMPTY, group=group)]
    interactions = [results[f"subgroups.{name.lower()}.interaction"] for name in tested(results)]
    table = comparison_table(
        lines,
        label="tbl-subgroups",
        caption=(
            f"Responders at month {month:g} in subgroups, n of N (%); complete cases of the intention-to-treat set."
        ),
        stub="Subgroup",
        headings=(arms.treatment, arms.control),
        level=level,
        difference="Difference, points",
        p=False,
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, in percentage points, with Newcombe confidence "
            "intervals (CI), unadjusted. Interaction: test that the odds ratio is the same at all levels, not adjusted "
            "for the number of tests.",
            *_interaction_notes(interactions),
        ),
    )
    return replace(table, results=(*table.results, *(r.id for r in interactions)))


def _interaction_notes(interactions: Sequence[Result]) -> list[str]:
    """Which test was used for which subgroup, and what has to be said of each."""
    by_method: dict[str, list[str]] = {}
    for r in interactions:
        if r.estimable:
            by_method.setdefault(r.method, []).append(noun(r.parameter))
    methods = [f"{method[0].upper()}{method[1:]}: {wording.listed(names)}." for method, names in by_method.items()]
    return methods + [f"{SUBGROUPS[r.parameter].label}: {r.note}." for r in interactions if r.note]


def noun(name: str) -> str:
    """A subgroup's variable inside a sentence."""
    label = SUBGROUPS[name].label
    return label if name in ("PFIRRMANN", "MODIC") else label[0].lower() + label[1:]


def sentences(results: Results, study: Study) -> Results:
    """Whether the data show that the treatment difference depends on a subgroup."""
    said = Results()
    said.state("subgroups.key", _key(results, study.parameters.alpha, study.parameters.primary_month))
    return said


def _key(results: Results, alpha: float, month: float) -> str:
    interactions = [results[f"subgroups.{name.lower()}.interaction"] for name in tested(results)]
    made = [r for r in interactions if r.estimable]
    if not made:
        return f"No interaction of treatment and subgroup could be tested at month {month:g}."
    tests = wording.counted(len(made), "interaction test")
    found = [r for r in made if wording.differs(r, alpha)]
    adjusted = "not adjusted for the number of tests"
    if not found:
        smallest = min(made, key=lambda r: to_sort_by(r.p))
        return (
            f"In {tests} for response at month {month:g} no dependence of the treatment difference on the subgroup was "
            f"shown (smallest {{{smallest.id}|p}}, {adjusted})."
        )
    names = wording.listed([f"{noun(r.parameter)} ({{{r.id}|p}})" for r in found])
    return (
        f"Of {tests} for response at month {month:g}, {len(found)} suggested that the treatment difference depends on "
        f"the subgroup: {names}, {adjusted}."
    )


def _line(results: Results, stub: str, place: str, group: str = "") -> Comparison:
    rates = [_fraction(results[f"subgroups.{place}.{role}"]) for role in ROLES]
    return Comparison(stub, rates[0], rates[1], results[f"subgroups.{place}.difference"], group)


def _fraction(result: Result) -> str:
    if not result.estimable:
        return f"0 of {result.n}"
    return f"{format_result(result, 'count')} of {result.n} ({format_percent(result.value, result.n)})"
