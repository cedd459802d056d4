"""Clinically important improvement in a table and a sentence."""

from __future__ import annotations

from respine.analyses.secondary import SUMMARIES, important_change, unit
from respine.analyses.study import Study
from respine.display import wording
from respine.display.numbers import format_percent, format_result
from respine.display.outputs import Table
from respine.display.secondary import NAMES, NOUNS
from respine.display.tables import EMPTY, Comparison, comparison_table
from respine.results import Result, Results
from respine.trial.trial import ROLES


def important_table(results: Results, study: Study) -> Table:
    """Participants who improved by at least the minimal clinically important difference, by visit."""
    arms, lines = study.arms, []
    for code in SUMMARIES:
        differences = [r for r in results.select(f"secondary.mcid.{code.lower()}").values() if r.arm == "difference"]
        for difference in sorted(differences, key=lambda r: r.visit or 0.0):
            prefix = difference.id.removesuffix(".difference")
            cells = [_fraction(results[f"{prefix}.{role}"]) for role in ROLES]
            lines.append(Comparison(f"Month {difference.visit:g}", cells[0], cells[1], difference, _rule(study, code)))
    return comparison_table(
        lines or [Comparison("No data", EMPTY, EMPTY)],
        label="tbl-mcid",
        caption=(
            "Participants who improved by at least the minimal clinically important difference, n of N (%), by visit; "
            "complete cases of the modified intention-to-treat set."
        ),
        stub="Visit",
        headings=(arms.treatment, arms.control),
        level=study.parameters.level,
        difference="Difference, points",
        p=False,
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, in percentage points, with Newcombe confidence "
            "intervals (CI). N, participants with a change at the visit, rescued or not.",
        ),
    )


def _rule(study: Study, code: str) -> str:
    least = important_change(study, code)
    way = "down" if least < 0 else "up"
    return f"{NAMES[code]}, {way} by {_least(study, code)} or more"


def _fraction(result: Result) -> str:
    if not result.estimable:
        return EMPTY
    return f"{format_result(result, 'count')} of {result.n} ({format_percent(result.value, result.n)})"


def sentences(results: Results, study: Study) -> Results:
    """How many improved by an amount that matters."""
    said = Results()
    said.state("secondary.mcid", _important(results, study))
    return said


def _important(results: Results, study: Study) -> str:
    """Improvement of pain and disability by the minimal clinically important difference at the primary month."""
    parts = []
    for code, noun in NOUNS.items():
        prefix = f"secondary.mcid.{code.lower()}.primary"
        if f"{prefix}.difference" not in results:
            continue
        known = [role for role in ROLES if results[f"{prefix}.{role}"].estimable]
        if not known:
            parts.append(f"no change in {noun} is known")
            continue
        rates = [f"{{{prefix}.{role}|fraction}} with {wording.literal(study.arms[role])}" for role in known]
        difference = results[f"{prefix}.difference"]
        unknown = [wording.literal(study.arms[role]) for role in ROLES if role not in known]
        said = (
            f"; difference {{{difference.id}|full}}"
            if difference.estimable
            else f"; no change is known with {unknown[0]}"
            if unknown
            else ""
        )
        parts.append(f"{noun} improved by at least {_least(study, code)} in {wording.listed(rates)}{said}")
    if not parts:
        return "Neither pain nor disability was measured after baseline."
    return " ".join(wording.sentence(f"at month {study.parameters.primary_month:g}, {part}") for part in parts)


def _least(study: Study, code: str) -> str:
    return f"{abs(important_change(study, code)):g} {unit(code)}"
