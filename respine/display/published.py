"""The published numbers in tables, a figure and sentences."""

from __future__ import annotations

import pandas as pd

from respine.analyses.published import EFFECTS, LEAST_N, TESTS, Compared, nearest_counts, unique_fitting_pairs
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.figures import ForestRow, forest
from respine.display.numbers import format_ci, format_level, format_number, format_p, format_points, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, GREY, canvas
from respine.display.tables import EMPTY
from respine.results import Results
from respine.trial.trial import ROLES

TEST_NAMES = {
    "pearson": "Pearson chi-squared",
    "yates": "Chi-squared, Yates correction",
    "likelihood_ratio": "Likelihood ratio",
    "wald": "Wald, risk difference",
    "wald_log_odds": "Wald, log odds ratio",
    "fisher": "Fisher exact",
    "fisher_midp": "Fisher mid-p",
}
UNITS = {"percent": "%", "years": "years", "mm": "mm", "ms": "ms", "months": "months", "cells": "cells"}
"""Units that a row's name needs; counts and dates say themselves what they are."""
SECTIONS = {
    "design": "Design",
    "eligibility": "Eligibility",
    "endpoint": "Endpoints",
    "primary": "Primary outcome",
    "secondary": "Secondary outcomes",
    "structural": "Disc structure",
    "immune": "Immune response",
    "safety": "Safety",
    "flow": "Participant flow",
    "baseline": "Baseline",
}


def comparison_table(rows: list[Compared], study: Study) -> Table:
    """Published beside recomputed, cell by cell."""
    ordered = sorted(rows, key=lambda r: list(SECTIONS).index(r.id.partition(".")[0]))
    lines = [
        Row(
            row.quantity[:1].upper() + row.quantity[1:] + (f", {UNITS[row.unit]}" if row.unit in UNITS else ""),
            (
                row.arm,
                _printed(row.published) or EMPTY,
                row.recomputed or EMPTY,
                row.status or "not part of the data",
            ),
            SECTIONS[row.id.partition(".")[0]],
        )
        for row in ordered
    ]
    source = "the data set"
    if study.trial.info.synthetic:
        source = "synthetic data; where these were calibrated to a published value, that it is reproduced says nothing"
    return Table(
        label="tbl-published",
        caption="Published values beside those recomputed from the data set of this report.",
        columns=("Quantity", "Arm", "Published", "Recomputed", "Status"),
        rows=tuple(lines),
        text_columns=frozenset({1, 2, 3, 4}),
        notes=(
            f"Recomputed from {source}. Reproduced: the same in print. Compatible: public sources themselves disagree. "
            "Not reproducible: this data set gives another value, as another trial's data will. Not available: the "
            "number stands in the article's tables or supplement, which were not at hand; nothing is compared.",
        ),
    )


def _printed(value: str) -> str:
    """A published value: large whole numbers with commas, several values as a list."""
    return format_number(int(value), 0) if value.isdigit() else value.replace(";", ", ")


def pairs_table(fitting: pd.DataFrame) -> Table:
    """The pairs of whole counts, with the test, that give the published p-value."""
    rows = [
        Row(
            f"{row['x_treatment']}/{row['n_treatment']} against {row['x_control']}/{row['n_control']}",
            (
                TEST_NAMES[row["test"]],
                format_p(row["p"]),
                format_points(row["difference"]),
                format_ci(100 * row["lower"], 100 * row["upper"], 1),
            ),
        )
        for row in fitting.to_dict("records")
    ]
    return Table(
        label="tbl-pairs",
        caption="Whole counts and tests that give both published percentages and the published p-value.",
        columns=("Responders", "Test", "p", "Difference, points", "95% CI"),
        rows=tuple(rows or [Row("None", (EMPTY,) * 4)]),
        text_columns=frozenset({1}),
        notes=(
            f"All whole counts with at least {LEAST_N} participants an arm and at most those randomised were tried. "
            "CI, Miettinen-Nurminen. Compatible with the publication is not the same as claimed by it.",
        ),
    )


def tests_table(results: Results) -> Table:
    """P-values if the percentages stood for all randomised participants."""
    ids = {test: f"published.nearest.{test}" for test in TESTS}
    return Table(
        label="tbl-all-randomised",
        caption=f"P-values if {nearest()} had responded, the nearest whole counts of all randomised participants.",
        columns=("Test", "p"),
        rows=tuple(Row(TEST_NAMES[test], (format_number(results[id].value, 3),)) for test, id in ids.items()),
        notes=("Two-sided; three decimals, so that they can be told from the published value.",),
        results=tuple(ids.values()),
    )


def nearest() -> str:
    """The nearest whole counts of all randomised, as ``43 of 58 against 39 of 56``."""
    x1, n1, x0, n0 = nearest_counts()
    return f"{x1} of {n1} against {x0} of {n0}"


def implied_figure(results: Results) -> Figure:
    """What the published percentages imply: the difference in all randomised and in every pair that fits."""
    pairs = unique_fitting_pairs().to_dict("records")
    rows = [
        ForestRow("Percentages as printed, all randomised", results["published.difference"], main=True, n=""),
        ForestRow(f"{nearest()} (nearest)", results["published.nearest.difference"], n=""),
        ForestRow("Pairs that give the published p-value"),
        *(
            ForestRow(
                f"{row['x_treatment']} of {row['n_treatment']} against {row['x_control']} of {row['n_control']}",
                results[f"published.fitting.r{k}"],
                n="",
            )
            for k, row in enumerate(pairs, start=1)
        ),
    ]
    implied = results["published.difference"]
    return forest(
        rows,
        label="fig-implied",
        caption=(
            "Differences in response that the published percentages imply (cells − sham), with Miettinen-Nurminen "
            f"{format_level(implied.level)} confidence intervals; dotted: differences of "
            f"{wording.listed([f'{100 * effect:.0f}' for effect in EFFECTS])} points."
        ),
        alt=f"Percentages as printed: difference {format_points(implied.value)} points ("
        f"{format_result(implied, 'ci')}); no interval of a pair reaches {100 * EFFECTS[-1]:.0f} points."
        if results[f"published.excluding.{100 * EFFECTS[-1]:.0f}"].value == results["published.pairs"].value
        else f"Percentages as printed: difference {format_points(implied.value)} points.",
        xlabel="Difference in responders, percentage points",
        arms=Arms("cells", "sham"),
        scale=100,
        marks={f"{100 * effect:.0f}": 100 * effect for effect in EFFECTS},
    )


def p_figure(pairs: pd.DataFrame, published_p: float) -> Figure:
    """The p-values of all compatible pairs, test by test, with the band that prints as the published one."""
    drawing, (ax,) = canvas(2.6)
    names = [TEST_NAMES[test] for test in TESTS]
    ax.axvspan(published_p - 0.005, published_p + 0.005, color=GREY, alpha=0.25, linewidth=0)
    ax.annotate(
        f"prints as {format_p(published_p)}", (published_p, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
        textcoords="offset points", ha="center", fontsize=8, color=GREY,
    )  # fmt: skip
    inside = {}
    for y, test in enumerate(TESTS):
        p = pairs[test].dropna()
        hit = (p >= published_p - 0.005) & (p < published_p + 0.005)
        inside[test] = int(hit.sum())
        ax.plot(p[~hit], [y] * int((~hit).sum()), "|", color=GREY, markersize=9)
        ax.plot(p[hit], [y] * inside[test], "o", color=COLOUR["treatment"], markersize=5)
    ax.set_yticks(range(len(names)), [f"{name}: {inside[t]}" for name, t in zip(names, TESTS, strict=True)])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("p")
    found = [TEST_NAMES[t] for t in TESTS if inside[t]]
    columns = ["x_treatment", "n_treatment", "x_control", "n_control", *TESTS]
    return figure(
        drawing,
        label="fig-compatible",
        caption=(
            f"P-values of the {len(pairs)} pairs of whole counts that print as the published percentages, test by "
            "test; behind each name the pairs whose p-value prints as the published one (dots)."
        ),
        alt=f"Only these tests give the published p-value: {wording.listed(found) if found else 'none'}.",
        data=pairs[columns],
    )


def designs_table(designs: pd.DataFrame) -> Table:
    """Designs whose planned size is the published one, the commonest settings."""
    usual = designs[(designs["power"].isin([0.8, 0.9])) & (designs["dropout"].isin([0.1, 0.15, 0.2]))]
    rows = [
        Row(
            row["design"][:1].upper() + row["design"][1:],
            (
                EMPTY
                if pd.isna(row["control"])
                else f"{100 * row['control']:.0f}% against {100 * row['treatment']:.0f}%",
                format_number(row["difference"], 2),
                f"{100 * row['power']:.0f}%",
                f"{100 * row['dropout']:.0f}%",
                f"{row['evaluable']:.0f}",
            ),
        )
        for row in usual.to_dict("records")
    ]
    return Table(
        label="tbl-designs",
        caption="Designs whose sample size is the planned one, at usual powers and drop-out rates.",
        columns=("Design", "Control against treatment", "Difference", "Power", "Drop-out", "Evaluable per arm"),
        rows=tuple(rows or [Row("None", (EMPTY,) * 5)]),
        notes=("Two arms of equal size, two-sided level of 5%. Difference: of proportions, or standardised.",),
    )


def context_table(trials: pd.DataFrame) -> Table:
    """Other controlled trials of cells injected into the disc."""
    columns = [c for c in trials.columns if c not in ("source", "id")]
    rows = [
        Row(str(row[columns[0]]), tuple(EMPTY if pd.isna(row[c]) or row[c] == "" else str(row[c]) for c in columns[1:]))
        for _, row in trials.iterrows()
    ]
    headings = tuple(c.replace("_", " ").capitalize() for c in columns)
    return Table(
        label="tbl-context",
        caption="Other controlled trials of cells injected into the disc, from their own abstracts or records.",
        columns=headings,
        rows=tuple(rows),
        text_columns=frozenset(range(1, len(columns))),
        notes=("Aggregates as published; nothing here is computed from patient data.",),
    )


def sentences(results: Results, rows: list[Compared]) -> Results:
    """What the published numbers are compatible with, and how many of them this data set gives."""
    said = Results()
    compared = [r for r in rows if r.status in ("reproduced", "compatible", "not reproducible")]
    reproduced = sum(r.status == "reproduced" for r in compared)
    fitting = [t for t in TESTS if results[f"published.pairs.{t}"].value > 0]
    found = [f"{TEST_NAMES[t][0].lower() + TEST_NAMES[t][1:]} (in {{published.pairs.{t}}} pairs)" for t in fitting]
    tests = (
        "none gives the published p-value under any test tried"
        if not found
        else f"the published p-value comes from {wording.counted(len(found), 'test')} of {len(TESTS)} tried: "
        f"{wording.listed(found)}"
    )
    said.state(
        "published.key",
        f"Of {{published.pairs}} pairs of whole counts that print as the published percentages, {tests}. Of "
        f"the {len(compared)} published values that a data set can give, this one gives {reproduced} as published.",
    )
    said.state("published.whole", " ".join(_whole(results, role) for role in ("treatment", "control")))
    said.state(
        "published.excludes",
        "Read as complete data, the difference is {published.difference} ({published.difference|level} CI "
        "{published.difference|ci}). A true difference of thirty points is excluded by {published.excluding.30} of the "
        "{published.pairs} pairs, one of twenty by {published.excluding.20}, one of ten by {published.excluding.10}.",
    )
    return said


def _whole(results: Results, role: str) -> str:
    """Whether a whole count of all randomised gives an arm's published percentage."""
    words = {"treatment": "cells", "control": "sham"}[role]
    near = wording.listed([f"{{published.nearest.{role}.{name}|fraction}}" for name in ("below", "above")])
    fits = results[f"published.whole.{role}"].value
    if not fits:
        return (
            f"No whole count of all participants randomised to {words} gives the published percentage: the nearest "
            f"are {near}, so that it rests on fewer participants, on imputed responses or on another rounding."
        )
    number = "One whole count" if fits == 1 else f"{fits:.0f} whole counts"
    verb = "gives" if fits == 1 else "give"
    return f"{number} of all participants randomised to {words} {verb} the published percentage."


def reading_sentence(results: Results, study: Study) -> Results:
    """Responders under both readings of the ODI threshold."""
    said = Results()
    parts = []
    for reading, words in {"relative": "relative to baseline", "points": "in points"}.items():
        rates = [
            f"{{published.reading.{reading}.{role}|fraction}} with {wording.literal(study.arms[role])}"
            for role in ROLES
            if results[f"published.reading.{reading}.{role}"].estimable
        ]
        parts += [f"{words}, {wording.listed(rates)} respond"] if rates else []
    said.state(
        "published.reading",
        f"In this data set, read {'; read '.join(parts)}." if parts else "In this data set no response is known.",
    )
    return said
