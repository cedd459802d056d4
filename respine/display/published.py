"""The published numbers in tables, a figure and sentences."""

from __future__ import annotations

import pandas as pd

from respine.analyses.published import LEAST_N, TESTS, Compared
from respine.analyses.study import Study
from respine.display import wording
from respine.display.numbers import format_ci, format_number, format_p, format_points
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, GREY, canvas
from respine.display.tables import EMPTY
from respine.results import Estimate, Results

TEST_NAMES = {
    "pearson": "Pearson chi-squared",
    "yates": "Chi-squared, Yates correction",
    "likelihood_ratio": "Likelihood ratio",
    "wald": "Wald, risk difference",
    "wald_log_odds": "Wald, log odds ratio",
    "fisher": "Fisher exact",
    "fisher_midp": "Fisher mid-p",
}
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
            row.quantity[:1].upper() + row.quantity[1:],
            (
                row.arm,
                row.published.replace(";", ", ") or EMPTY,
                row.recomputed or EMPTY,
                row.status or "not part of the data",
            ),
            SECTIONS[row.id.partition(".")[0]],
        )
        for row in ordered
    ]
    source = "synthetic data calibrated to the published abstract" if study.trial.info.synthetic else "the data set"
    return Table(
        label="tbl-published",
        caption="Published values beside those recomputed from the data set of this report.",
        columns=("Quantity", "Arm", "Published", "Recomputed", "Status"),
        rows=tuple(lines),
        text_columns=frozenset({1, 2, 3, 4}),
        notes=(
            f"Recomputed from {source}. Reproduced: the same in print. Compatible: public sources themselves disagree. "
            "Not available: the number stands in the article's tables or supplement, which were not at hand; nothing "
            "is compared.",
        ),
    )


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


def tests_table(p_values: dict[str, Estimate]) -> Table:
    """P-values if the percentages stood for all randomised participants."""
    return Table(
        label="tbl-all-randomised",
        caption="P-values if the nearest whole counts of all randomised participants had responded.",
        columns=("Test", "p"),
        rows=tuple(Row(TEST_NAMES[test], (format_number(r.value, 3),)) for test, r in p_values.items()),
        notes=("Two-sided.",),
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
    names = wording.listed([TEST_NAMES[t][0].lower() + TEST_NAMES[t][1:] for t in fitting])
    tests = (
        "no test tried gives the published p-value"
        if not fitting
        else f"only {names} gives the published p-value "
        f"({wording.listed([f'{{published.pairs.{t}}}' for t in fitting])} pairs)"
    )
    said.state(
        "published.key",
        f"Of {{published.pairs}} pairs of whole counts that print as the published percentages, {tests}. Of "
        f"{len(compared)} published values that a data set can give, this one gives {reproduced} as published.",
    )
    parts = []
    for role, words in (("treatment", "cells"), ("control", "sham")):
        fits = results[f"published.whole.{role}"].value
        parts.append(
            f"{'one count' if fits == 1 else 'no count' if not fits else f'{fits:.0f} counts'} in the {words} arm"
        )
    said.state(
        "published.whole",
        f"Out of all randomised participants, the percentages are matched by {wording.listed(parts)}.",
    )
    said.state(
        "published.excludes",
        "Read as complete data, the difference is {published.difference|full}. A true difference of thirty points is "
        "excluded by {published.excluding.30} of the {published.pairs} pairs, one of twenty by "
        "{published.excluding.20}, one of ten by {published.excluding.10}.",
    )
    return said
