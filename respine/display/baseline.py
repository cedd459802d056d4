"""Baseline characteristics: Table 1 and the balance of the arms."""

from __future__ import annotations

import pandas as pd

from respine.analyses.baseline import CHARACTERISTICS, COLUMNS, Characteristic, observed_levels
from respine.analyses.study import Arms
from respine.display import wording
from respine.display.numbers import format_number, format_percent, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import GREY, INK, canvas
from respine.display.tables import EMPTY, footnotes
from respine.results import Result, Results, to_sort_by

IMBALANCE = 0.2
"""The standardised mean difference from which the chapter names a characteristic; a custom, not a test."""
LEVELS = {
    "SEX": {"f": "female", "m": "male", "u": "unknown"},
    "OPIOIDBL": {"y": "yes", "n": "no"},
    "MODICBL": {"0": "none", "1": "type 1", "2": "type 2", "3": "type 3"},
}


def table_one(results: Results, arms: Arms) -> Table:
    """Characteristics by arm and overall, with standardised mean differences."""
    rows: list[Row] = []
    for item in CHARACTERISTICS:
        if f"baseline.{item.slug}.smd" in results:
            rows += _categorical(results, item) if item.kind == "categorical" else [_numeric(results, item)]
            rows += _missing(results, item)
    n = {role: format_result(results[f"baseline.n.{role}"]) for role in COLUMNS}
    return Table(
        label="tbl-baseline",
        caption="Baseline characteristics; intention-to-treat set.",
        columns=("Characteristic", *(f"{arms[role]}\n(n = {n[role]})" for role in COLUMNS), "SMD"),
        rows=tuple(rows),
        notes=(
            "SD, standard deviation; Q1, Q3, first and third quartile (type 7); SMD, standardised mean difference, for "
            "categories after Yang and Dalton (never negative). Percentages are of the known values. No tests: any "
            "difference is chance where randomisation was sound.",
            *footnotes(results[f"baseline.{item.slug}.smd"] for item in _known(results)),
        ),
        results=tuple(results),
    )


def _numeric(results: Results, item: Characteristic) -> Row:
    unit = f", {item.unit}" if item.unit else ""
    what = "mean (SD)" if item.kind == "mean" else "median [Q1, Q3]"
    cells = []
    for role in COLUMNS:
        prefix = f"baseline.{item.slug}"
        if item.kind == "mean":
            mean, sd = results[f"{prefix}.mean.{role}"], results[f"{prefix}.sd.{role}"]
            cells.append(f"{_one(mean)} ({_one(sd)})" if mean.estimable else EMPTY)
        else:
            median, q1, q3 = (results[f"{prefix}.{s}.{role}"] for s in ("median", "q1", "q3"))
            cells.append(f"{_one(median)} [{_one(q1)}, {_one(q3)}]" if median.estimable else EMPTY)
    return Row(f"{item.label}, {what}{unit}", (*cells, _smd(results, item)), item.group)


def _categorical(results: Results, item: Characteristic) -> list[Row]:
    rows = [Row(f"{item.label}, n (%)", ("", "", "", _smd(results, item)), item.group)]
    for level in observed_levels(results, item):
        cells = tuple(_share(results[f"baseline.{item.slug}.{level}.{role}"]) for role in COLUMNS)
        rows.append(Row(_level_label(item, level), (*cells, ""), item.group, indent=1))
    return rows


def _missing(results: Results, item: Characteristic) -> list[Row]:
    cells = [results[f"baseline.{item.slug}.missing.{role}"] for role in COLUMNS]
    if not any(r.value for r in cells):
        return []
    return [Row("missing, n", (*(f"{r.value:.0f}" for r in cells), ""), item.group, indent=1)]


def _level_label(item: Characteristic, level: str) -> str:
    if item.name in LEVELS:
        return LEVELS[item.name].get(level, level)
    if item.name == "COUNTRY":
        return level.upper()
    if item.name == "DISCLVL":
        return level.upper().replace("_", "-")
    if item.name == "PFIRRBL":
        return f"grade {level}"
    return level.replace("_", " ")


def _one(result: Result) -> str:
    return format_number(result.value, 1) if result.estimable else EMPTY


def _share(result: Result) -> str:
    if not result.estimable:
        return EMPTY
    return f"{format_result(result, 'count')} ({format_percent(result.value, result.n)})"


def _smd(results: Results, item: Characteristic) -> str:
    r = results[f"baseline.{item.slug}.smd"]
    return format_number(r.value, 2) if r.estimable else EMPTY


def love_plot(results: Results, arms: Arms) -> Figure:
    """Absolute standardised mean differences of all characteristics."""
    found = [(item.label, results[f"baseline.{item.slug}.smd"]) for item in _known(results)]
    found = sorted(((label, r) for label, r in found if r.estimable), key=lambda pair: to_sort_by(abs(pair[1].value)))
    drawing, (ax,) = canvas(0.9 + 0.2 * max(len(found), 1))
    ax.plot([abs(r.value) for _, r in found], range(len(found)), "o", color=INK)
    ax.hlines(range(len(found)), 0, [abs(r.value) for _, r in found], color=GREY, linewidth=0.8)
    for position in (0.1, IMBALANCE):
        ax.axvline(position, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    ax.set_yticks(range(len(found)), [label for label, _ in found])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(found) - 0.3)
    ax.set_xlim(left=0, right=max([abs(r.value) for _, r in found] + [0.3]) * 1.05)
    ax.set_xlabel("Absolute standardised mean difference")
    n = {role: results[f"baseline.n.{role}"].value for role in COLUMNS}
    largest = (
        f"the largest is {found[-1][0]} with {format_number(abs(found[-1][1].value), 2)}"
        if found
        else "none can be computed"
    )
    return figure(
        drawing,
        label="fig-balance",
        caption=(
            "Balance of the arms at baseline: absolute standardised mean differences, "
            f"{arms.treatment} (n = {n['treatment']:.0f}) against {arms.control} (n = {n['control']:.0f}); dotted "
            f"lines at 0.1 and {IMBALANCE:g}."
        ),
        alt=f"Standardised mean differences of {len(found)} characteristics; {largest}.",
        data=pd.DataFrame(
            [{"characteristic": label, "smd": r.value} for label, r in found], columns=["characteristic", "smd"]
        ),
        results=[r.id for _, r in found],
    )


def _known(results: Results) -> list[Characteristic]:
    return [item for item in CHARACTERISTICS if f"baseline.{item.slug}.smd" in results]


def _in_sentence(item: Characteristic) -> str:
    """The label inside a sentence, without its abbreviation; names and abbreviations keep their capital."""
    label = item.label.partition(" (")[0]
    return label if label.startswith(("Modic", "SF-36")) else label[0].lower() + label[1:]


def sentences(results: Results) -> Results:
    """Key finding: who the participants are, and where the arms differ."""
    said = Results()
    parts = []
    for slug, text in (
        ("age", "a mean age of {baseline.age.mean.overall}"),
        ("vaspain", "a mean pain of {baseline.vaspain.mean.overall} on the visual analogue scale"),
        ("odi", "a mean disability of {baseline.odi.mean.overall} on the Oswestry Disability Index"),
    ):
        if f"baseline.{slug}.mean.overall" in results and results[f"baseline.{slug}.mean.overall"].estimable:
            parts.append(text)
    described = f"The {{baseline.n.overall}} randomised participants had {wording.listed(parts)}." if parts else ""
    unequal = [
        (_in_sentence(item), f"{{baseline.{item.slug}.smd}}")
        for item in _known(results)
        if results[f"baseline.{item.slug}.smd"].estimable
        and abs(results[f"baseline.{item.slug}.smd"].value) >= IMBALANCE
    ]
    named = wording.listed([f"{label} ({smd})" for label, smd in unequal])
    balance = (
        f"Standardised mean differences reach {IMBALANCE:g} in size for {named}."
        if unequal
        else "No standardised mean difference could be computed."
        if not any(results[f"baseline.{item.slug}.smd"].estimable for item in _known(results))
        else f"No standardised mean difference reaches {IMBALANCE:g} in size."
    )
    said.state("baseline.balance", balance)
    said.state("baseline.key", f"{described} {balance}".strip())
    return said
