"""Robustness in tables and sentences; its figures are in :mod:`respine.display.robustness_figures`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from respine.analyses import operating
from respine.analyses.missing_data import BOUNDS, MAIN, MISSING, ROLES, deltas, tipping_id
from respine.analyses.robustness import ANALYSES, RULES, SETS, STRICTER
from respine.analyses.robustness import MISSING as CHOICES_OF_MISSING
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.numbers import format_number, format_percent, format_points, format_result
from respine.display.outputs import Row, Table
from respine.display.tables import EMPTY, Line, estimate_table, footnotes
from respine.parameters import Parameters
from respine.results import Result, Results, to_sort_by

Conclusion = Literal["treatment", "control", "none"]
"""What a test concludes: a difference in favour of an arm, or equality not rejected."""

SIDES: tuple[Conclusion, Conclusion] = ("treatment", "control")
METHODS = {
    "complete": "Complete cases",
    "nri": "Unknown response as non-response",
    "mar": "Missing at random (main analysis)",
    "j2r": "Jump to reference",
    "cr": "Copy reference",
    "cir": "Copy increments in reference",
    "worst": "All unknown against the treatment",
    "best": "All unknown for the treatment",
}
GROUPS = {"mar": "Multiple imputation", "j2r": "Multiple imputation", "cr": "Multiple imputation"}
GROUPS |= {"cir": "Multiple imputation", "worst": "Extreme cases", "best": "Extreme cases"}
SINGLE = "Without imputation model"
DIMENSIONS = ("Definition of response", "Analysis set", "Missing values", "Analysis")
ANALYSIS_NAMES = {
    "wald": "Unadjusted, Wald",
    "score": "Unadjusted, score",
    "random": "Adjusted, covariates random",
    "fixed": "Adjusted, covariates fixed",
}
MISSING_NAMES = {
    "complete": "Complete cases",
    "nri": "Non-responder imputation",
    "mar": "Imputed, at random",
    "j2r": "Imputed, jump to reference",
}
DROPOUT = {"usual": "Drop-out as assumed for the synthetic trial", "high": "High drop-out"}
SYMPTOMS = {"none": "None", "half": "Half an MCID", "full": "One MCID"}


def conclusion(result: Result, alpha: float) -> Conclusion | None:
    """What the test concludes; None where there is no estimate, or none with a p-value."""
    if not wording.tested(result):
        return None
    if not wording.differs(result, alpha):
        return "none"
    return "treatment" if wording.favours_treatment(result, higher_is_better=True) else "control"


def rule_names(parameters: Parameters) -> dict[str, str]:
    """The definitions of response of the specification curve."""
    rescue = "Rescue ignored" if parameters.rescue == "non_responder" else "Rescue as non-response"
    return {
        "plan": "As planned",
        "odi_other": "ODI in points" if parameters.odi_rule == "relative" else "ODI relative",
        "stricter": f"Thresholds times {STRICTER:g}",
        "both": "Pain and function both",
        "rescue_other": rescue,
    }


def choices(parameters: Parameters) -> dict[str, dict[str, str]]:
    """The dimensions of the specification curve: by heading, the words of the ids and their names."""
    sets: dict[str, str] = {name.lower(): name for name in SETS}
    missing = {name: MISSING_NAMES[name] for name in CHOICES_OF_MISSING}
    analyses: dict[str, str] = {name: ANALYSIS_NAMES[name] for name in ANALYSES}
    rules = rule_names(parameters)
    return dict(zip(DIMENSIONS, ({name: rules[name] for name in RULES}, sets, missing, analyses), strict=True))


# --- tables -----------------------------------------------------------------------------------------------------------


def missing_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """The adjusted difference by each method for missing values."""
    lines = [Line(METHODS[name], results[f"robustness.missing.{name}"], GROUPS.get(name, SINGLE)) for name in MISSING]
    return estimate_table(
        lines,
        label="tbl-missing-methods",
        caption=(
            f"Adjusted treatment difference in response at month {month:g} by method for missing values, in percentage "
            "points; intention-to-treat set."
        ),
        stub="Method",
        estimate="Difference",
        level=level,
        headings=(f"n {arms.treatment}", f"n {arms.control}"),
        notes=(
            f"Reference-based methods impute {arms.treatment} after departure from {arms.control}; the same draws "
            f"serve all imputations, {results['robustness.imputations'].value:g} by each method. G-computation, "
            "influence-function standard error.",
        ),
    )


def specification_table(results: Results, study: Study) -> Table:
    """The specification curve by choice: how many, how far apart, how many reject."""
    parameters = study.parameters
    specifications = list(results.select("robustness.choice").values())
    rows = [_specification_row("All", specifications, parameters.alpha)]
    for place, (heading, names) in enumerate(choices(parameters).items(), start=2):
        for word, name in names.items():
            chosen = [r for r in specifications if r.id.split(".")[place] == word]
            rows.append(_specification_row(name, chosen, parameters.alpha, heading))
    favour = (f"for {study.arms.treatment}", f"for {study.arms.control}")
    return Table(
        label="tbl-specifications",
        caption=(
            f"Treatment difference in response at month {parameters.primary_month:g} over all specifications, in "
            "percentage points."
        ),
        columns=("Choice", "Estimable", "Lowest", "Highest", *favour),
        rows=tuple(rows),
        spanners=(("Estimate", 2, 3), (f"p ≤ {parameters.alpha:g}", 4, 5)),
        notes=("A score test is not defined for imputed data.", *footnotes(results.select("robustness.spec").values())),
        results=tuple(r.id for r in specifications),
    )


def _specification_row(name: str, rows: Sequence[Result], alpha: float, group: str = "") -> Row:
    known = [r for r in rows if r.estimable]
    found = [conclusion(r, alpha) for r in known]
    count = str(len(known)) if len(known) == len(rows) else f"{len(known)} of {len(rows)}"
    ends = [format_points(end(r.value for r in known)) if known else EMPTY for end in (min, max)]
    return Row(name, (count, *ends, str(found.count("treatment")), str(found.count("control"))), group)


def operating_table(results: Results, study: Study) -> Table:
    """Simulated probability of success by benefit and drop-out."""
    rows, ids = [], []
    for dropout in operating.DROPOUT:
        for symptoms in operating.SYMPTOMS:
            for gain, ms in operating.GAINS.items():
                shown = {
                    what: results[operating.operating_id(symptoms, gain, dropout, what)]
                    for what in ("known", "difference", "response", "t2", "both")
                }
                ids += [r.id for r in shown.values()]
                cells = (f"{ms:g} ms" if ms else "None", *(_operating_cell(what, r) for what, r in shown.items()))
                rows.append(Row(SYMPTOMS[symptoms], cells, DROPOUT[dropout]))
    any_row = results[ids[0]]
    mcid = f"{study.parameters.mcid_vas_mm:g} mm VAS and {study.parameters.mcid_odi_points:g} points ODI"
    return Table(
        label="tbl-operating",
        caption=(
            f"Simulated probability of success (p ≤ {study.parameters.alpha:g} in favour of the treatment) in trials "
            f"of {any_row.n_treatment} and {any_row.n_control} participants, %."
        ),
        columns=(
            "Benefit in pain and function", "in T2", "Known, %", "Difference, points", "Response", "T2", "Both",
        ),
        rows=tuple(rows),
        spanners=(("Success", 5, 7),),
        notes=(
            f"MCID, minimal clinically important difference: {mcid}. Difference: mean of the estimated differences in "
            f"response. Complete cases in {operating.TRIALS} simulated trials a line; a probability of "
            f"{format_percent(0.5, digits=0)} is known to within {_margin()} points (95% of simulations).",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )  # fmt: skip


def _operating_cell(what: str, result: Result) -> str:
    if not result.estimable:
        return EMPTY
    if what == "difference":
        return format_points(result.value)
    return format_percent(result.value, digits=1).removesuffix("%")


def _margin() -> str:
    return format_number(100 * 1.96 * (0.25 / operating.TRIALS) ** 0.5, 0)


# --- sentences --------------------------------------------------------------------------------------------------------


def sentences(results: Results, study: Study) -> Results:
    """Key finding, abstract and one statement a section."""
    said = Results()
    alpha, arms = study.parameters.alpha, study.arms
    parts: dict[str, str] = {
        "missing": missing_sentence(results, arms, alpha),
        "tipping": tipping_sentence(results, study.parameters, arms),
        "rules": rules_sentence(results, arms, alpha),
        "specifications": specifications_sentence(results, arms, alpha),
        "operating": operating_sentence(results),
    }
    for name, text in parts.items():
        said.state(f"robustness.{name}", text)
    said.state("robustness.key", key_sentence(results, arms, alpha))
    said.state("robustness.abstract", abstract_sentence(results, arms, alpha))
    return said


def finding(found: Conclusion, arms: Arms) -> str:
    """A conclusion as the predicate of an analysis."""
    if found == "none":
        return "does not reject equality of the arms"
    return f"finds a difference in favour of {wording.literal(arms[found])}"


def main_result(results: Results) -> Result:
    """The main analysis of the first co-primary endpoint."""
    return results[f"robustness.missing.{MAIN}"]


def key_sentence(results: Results, arms: Arms, alpha: float) -> str:
    """Whether the conclusion stands under every choice, and if not, under how many."""
    main = main_result(results)
    held = conclusion(main, alpha)
    if held is None:
        return f"The main analysis was {_untested(main)}; there is no conclusion whose robustness to assess."
    groups = {
        "methods for missing values": _methods(results),
        "definitions of response": list(results.select("robustness.rule").values()),
        "specifications": list(results.select("robustness.choice").values()),
    }
    agree = {name: _agreeing(rows, held, alpha) for name, rows in groups.items()}
    ends = "estimates ran from {robustness.spec.lowest|number} to {robustness.spec.highest}"
    opening = f"The main analysis {finding(held, arms)}."
    if not results["robustness.spec.lowest"].estimable:
        return f"{opening} No specification of the curve could be estimated."
    if all(n == of for n, of in agree.values()):
        estimable = sum(r.estimable for r in groups["specifications"])
        kind = "estimable" if agree["specifications"][1] == estimable else "tested"
        return (
            f"{opening} That conclusion stands under every method for missing values short of the extreme cases, every "
            f"definition of response and all {agree['specifications'][1]} {kind} specifications, whose {ends}."
        )
    shares = wording.listed([f"{n} of {of} {name}" for name, (n, of) in agree.items()])
    return f"{opening} The same conclusion is reached under {shares}; over the specifications {ends}."


def _untested(main: Result) -> str:
    """Why the main analysis concludes nothing."""
    return "without a p-value" if main.estimable else wording.literal(main.note)


def _methods(results: Results) -> list[Result]:
    return [results[f"robustness.missing.{name}"] for name in MISSING if name not in BOUNDS]


def _agreeing(rows: Iterable[Result], held: Conclusion, alpha: float) -> tuple[int, int]:
    """How many of the estimable rows reach a conclusion, and how many are estimable."""
    found = [c for r in rows if (c := conclusion(r, alpha)) is not None]
    return found.count(held), len(found)


def missing_sentence(results: Results, arms: Arms, alpha: float) -> str:
    """What is missing, whether the methods agree, and what the extremes say."""
    main = main_result(results)
    held = conclusion(main, alpha)
    if held is None:
        return f"The main analysis was {_untested(main)}."
    if not any(results[f"robustness.unknown.{role}"].value for role in ROLES):
        return "Every response is known, so that all methods for missing values give the same estimate."
    unknown = wording.listed([f"{{robustness.unknown.{r}}} with {wording.literal(arms[r])}" for r in ROLES])
    methods = [r for r in _methods(results) if r.estimable]
    low, high = (end(methods, key=lambda r: r.value) for end in (min, max))
    spread = f"estimates run from {{{low.id}|number}} to {{{high.id}}}"
    concluded = {r.id: found for r in methods if (found := conclusion(r, alpha)) is not None}
    others = [METHODS[id.rpartition(".")[2]] for id, found in concluded.items() if found != held]
    tested = "" if len(concluded) == len(methods) else "tested "
    agreement = (
        f"All {len(concluded)} {tested}methods lead to the conclusion of the main analysis; {spread}."
        if not others
        else f"The conclusion depends on the method: the main analysis {finding(held, arms)}, but another conclusion "
        f"is reached under “{wording.listed([name[:1].lower() + name[1:] for name in others])}”; {spread}."
    )
    return f"The response is unknown in {unknown}. {agreement} {_bounds_sentence(results, held, alpha)}"


def _bounds_sentence(results: Results, held: Conclusion, alpha: float) -> str:
    worst, best = (results[f"robustness.missing.{name}"] for name in BOUNDS)
    changed = sum(conclusion(r, alpha) not in (held, None) for r in (worst, best))
    if not (worst.estimable and best.estimable):
        return "The extreme cases could not be estimated."
    verdict = {
        0: "neither would change the conclusion",
        1: "one of these would change the conclusion",
        2: "either would change the conclusion",
    }[changed]
    return (
        f"Had all unknown responses gone against the treatment, the difference would be {{{worst.id}|full}}; had all "
        f"gone for it, {{{best.id}|full}}: {verdict}."
    )


def tipping_sentence(results: Results, parameters: Parameters, arms: Arms) -> str:
    """Whether and where the conclusion tips."""
    grid, main = deltas(parameters), main_result(results)
    held = conclusion(main, parameters.alpha)
    if held is None:
        return f"Without a test in the main analysis ({_untested(main)}) there is no conclusion to tip."
    if not any(results[f"robustness.departed.{role}"].value for role in ROLES):
        return "No response is unknown after departure, so that no assumption about departure can tip the conclusion."
    if len(grid) == 1:
        return "No worsening was asked for, so that nothing can be said of a tipping point."
    cells = {(t, c): results[tipping_id(t, c)] for t in grid for c in grid}
    tipped = [at for at, r in cells.items() if conclusion(r, parameters.alpha) not in (held, None)]
    known = [r for r in cells.values() if r.estimable and r.p == r.p]
    if not tipped:
        low, high = (end(known, key=lambda r: to_sort_by(r.p)).id for end in (min, max)) if known else ("", "")
        span = _span(results[low], results[high]) if known else ""
        return (
            f"Making pain imputed after departure worse by up to {grid[-1]:g} mm, in either arm or both, does not "
            f"change the conclusion{span}."
        )
    t, c = min(tipped, key=lambda at: (sum(at), max(at), at))
    return (
        f"The conclusion tips in {len(tipped)} of {len(cells)} combinations, first where pain imputed after departure "
        f"is {t:g} mm worse with {wording.literal(arms.treatment)} and {c:g} mm worse with "
        f"{wording.literal(arms.control)}: {{{tipping_id(t, c)}|full}}."
    )


def _span(low: Result, high: Result) -> str:
    """The range of p-values; one where both ends print the same."""
    ends = [format_result(r, "p") for r in (low, high)]
    return f" ({{{low.id}|p}} throughout)" if ends[0] == ends[1] else f" (from {{{low.id}|p}} to {{{high.id}|p}})"


def rules_sentence(results: Results, arms: Arms, alpha: float) -> str:
    """What the definitions of response agree on."""
    rows = [r for r in results.select("robustness.rule").values() if r.estimable]
    if not rows:
        return "Under no definition of response could the difference be estimated."
    low, high = (end(rows, key=lambda r: r.value) for end in (min, max))
    return (
        f"{_tally(rows, arms, alpha, f'the {len(rows)} definitions of response')}; estimates run from "
        f"{{{low.id}|number}} to {{{high.id}}}."
    )


def abstract_sentence(results: Results, arms: Arms, alpha: float) -> str:
    """The specification curve for a reader who has not seen it."""
    rows = [r for r in results.select("robustness.choice").values() if r.estimable]
    if not rows:
        return "The difference in response could not be estimated under other choices of the analysis either."
    tally = _tally(rows, arms, alpha, f"the {len(rows)} specifications")
    return (
        "Definition of response, analysis set, method for missing values and estimator were varied together: "
        f"{tally[:1].lower()}{tally[1:]}; estimates run from {{robustness.spec.lowest|number}} to "
        "{robustness.spec.highest}."
    )


def specifications_sentence(results: Results, arms: Arms, alpha: float) -> str:
    """What the specifications agree on."""
    rows = [r for r in results.select("robustness.choice").values() if r.estimable]
    if not rows:
        return "No specification could be estimated."
    lost = int(results["robustness.spec.not_estimable"].value)
    left = wording.sentence(f"{wording.counted(lost, 'specification')} could not be estimated") if lost else ""
    return (
        f"{_tally(rows, arms, alpha, f'the {len(rows)} specifications')}; estimates run from "
        "{robustness.spec.lowest|number} to {robustness.spec.highest}, their median is {robustness.spec.median|number}."
        f"{' ' * bool(left)}{left}"
    )


def _tally(rows: Sequence[Result], arms: Arms, alpha: float, what: str) -> str:
    found = [conclusion(r, alpha) for r in rows]
    kept, untested = found.count("none"), found.count(None)
    if untested == len(found):
        return f"None of {what} gives a test"
    without = f", and {untested} {'gives' if untested == 1 else 'give'} no test" if untested else ""
    if kept + untested == len(found):
        return f"None of {what} rejects equality of the arms{without}"
    counts = [(found.count(role), f"in favour of {wording.literal(arms[role])}") for role in SIDES]
    for n, side in counts:
        if n == len(found):
            return f"All of {what} reject equality of the arms {side}"
    rejected = wording.listed([f"{n} {side}" for n, side in counts if n])
    return f"Of {what}, equality of the arms is rejected by {rejected}, and not by {kept}{without}"


def operating_sentence(results: Results) -> str:
    """How often a trial of this size succeeds with a benefit, and without."""
    full = results[operating.operating_id("full", "gain", "usual", "both")]
    response = results[operating.operating_id("full", "gain", "usual", "response")]
    if not response.estimable:
        return f"The probability of success was {wording.literal(response.note)}."
    null = operating.operating_id("none", "none", "usual", "response")
    difference = operating.operating_id("full", "gain", "usual", "difference")
    high = operating.operating_id("full", "gain", "high", "response")
    power = (
        f"A benefit of one minimal clinically important difference in pain and function, which is a difference in "
        f"response of {{{difference}}}, is found by the response endpoint in {{{response.id}}} of simulated trials "
        f"({{{high}}} with high drop-out)"
    )
    without = f"Without any benefit it succeeds in {{{null}}}."
    if not full.estimable:
        return f"{power}. {without}"
    one = [
        results[operating.operating_id(symptoms, gain, dropout, "both")]
        for symptoms, gain in (("full", "none"), ("half", "none"), ("none", "gain"), ("none", "none"))
        for dropout in operating.DROPOUT
    ]
    most = max(one, key=lambda r: to_sort_by(r.value))
    return (
        f"{power}, and together with a gain of {operating.T2_GAIN:g} ms in T2 both endpoints succeed in {{{full.id}}}. "
        f"{without} Where at least one endpoint has no benefit, the trial as a whole succeeds in at most {{{most.id}}}."
    )
