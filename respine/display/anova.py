"""Pingouin's mixed analysis of variance and pairwise tests in tables."""

from __future__ import annotations

from respine.analyses.anova import SCORES, SOURCES
from respine.analyses.study import Arms
from respine.display.numbers import format_number, format_p, format_result
from respine.display.outputs import Row, Table
from respine.display.secondary import NAMES
from respine.display.tables import EMPTY, footnotes
from respine.results import Result, Results

SOURCE_NAMES = {"arm": "Arm", "visit": "Visit", "interaction": "Arm by visit"}


def anova_table(results: Results, arms: Arms) -> Table:
    """Arm, visit and interaction: F, degrees of freedom, p-values, partial eta squared."""
    rows, ids = [], []
    for code in SCORES:
        for source in SOURCES.values():
            prefix = f"secondary.anova.{code.lower()}.{source}"
            if prefix in results:
                ids += [r.id for r in results.select(prefix).values()]
                rows.append(Row(SOURCE_NAMES[source], _anova_cells(results, prefix), NAMES[code]))
    shown = [results[id] for id in ids]
    return Table(
        label="tbl-anova",
        caption=(
            "Mixed analysis of variance of the changes in pain and disability; participants of the modified "
            "intention-to-treat set with a value at every visit."
        ),
        columns=("Source", f"n {arms.treatment}", f"n {arms.control}", "F", "df", "p", "p (GG)", "partial η²"),
        rows=tuple(rows) or (Row("No data", (EMPTY,) * 7),),
        notes=(
            "df, numerator and denominator degrees of freedom; GG, Greenhouse-Geisser correction. Arm between, visit "
            "within participants; computed by Pingouin.",
            *footnotes(shown),
        ),
        results=tuple(ids),
    )


def _anova_cells(results: Results, prefix: str) -> tuple[str, ...]:
    f = results[prefix]
    n = (str(f.n_treatment), str(f.n_control))
    if not f.estimable:
        return (*n, *(EMPTY,) * 5)
    df = f"{format_result(results[f'{prefix}.df1'])}, {format_result(f, 'df')}"
    gg = results.get(f"{prefix}.gg")
    return (
        *n,
        format_result(f, "number"),
        df,
        format_p(f.p),
        format_p(gg.p) if gg and gg.estimable else EMPTY,
        format_result(results[f"{prefix}.np2"], "number"),
    )


def pairwise_table(results: Results, arms: Arms) -> Table:
    """The arms compared at each visit by t-tests."""
    rows: list[Row] = []
    shown: list[Result] = []
    for code in SCORES:
        tests = [r for r in results.select(f"secondary.pairwise.{code.lower()}").values() if r.statistic == "t"]
        for t in sorted(tests, key=lambda r: r.visit or 0.0):
            g = results[f"{t.id}.g"]
            shown += [t, g]
            cells = (format_result(t, "number"), format_number(t.df, 1), format_p(t.p)) if t.estimable else (EMPTY,) * 3
            rows.append(
                Row(
                    f"Month {t.visit:g}",
                    (*cells, format_result(g, "number") if g.estimable else EMPTY),
                    f"{NAMES[code]}: n = {t.n_treatment} and {t.n_control}",
                )
            )
    return Table(
        label="tbl-pairwise",
        caption=(
            "Pairwise t-tests of the changes in pain and disability between the arms at each visit; participants of "
            "the modified intention-to-treat set with a value at every visit."
        ),
        columns=("Visit", "t", "df", "p", "Hedges' g"),
        rows=tuple(rows) or (Row("Not computable", (EMPTY,) * 4),),
        notes=(
            f"t and g are {arms.treatment} − {arms.control}; Welch's test where the arms differ in size; p-values are "
            "not adjusted for multiplicity; computed by Pingouin.",
            *footnotes(shown),
        ),
        results=tuple(r.id for r in shown),
    )
