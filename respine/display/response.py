"""Co-primary 1 in tables, figures and sentences."""

from __future__ import annotations

import textwrap

import pandas as pd

from respine.analyses.response import COMPONENTS, MARGIN, ROLES, TESTS
from respine.analyses.study import Arms, Study
from respine.display import wording
from respine.display.figures import ForestRow, forest, label_ends
from respine.display.numbers import format_level, format_p, format_percent, format_points, format_result
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, GREY, INK, LINE, canvas
from respine.display.tables import EMPTY, Comparison, Line, comparison_table, estimate_table, footnotes
from respine.parameters import Parameters
from respine.results import Results

DIFFERENCES = {
    "rd.main": ("Multiple imputation, adjusted (main analysis)", "Covariate-adjusted"),
    "rd.main_fixed": ("Multiple imputation, adjusted, covariates fixed", "Covariate-adjusted"),
    "rd.complete": ("Complete cases, adjusted", "Covariate-adjusted"),
    "rd.complete_fixed": ("Complete cases, adjusted, covariates fixed", "Covariate-adjusted"),
    "rd.mn": ("Complete cases, Miettinen-Nurminen", "Unadjusted"),
    "rd.newcombe": ("Complete cases, Newcombe", "Unadjusted"),
    "rd.stratified": ("Complete cases, stratified by country", "Unadjusted"),
}
RATIOS = {
    "rr.koopman": ("Risk ratio, Koopman", "Risk ratio"),
    "rr.mn": ("Risk ratio, Miettinen-Nurminen", "Risk ratio"),
    "rr.katz": ("Risk ratio, Katz", "Risk ratio"),
    "rr.complete": ("Risk ratio, adjusted", "Risk ratio"),
    "or.exact": ("Odds ratio, exact conditional", "Odds ratio"),
    "or.wald": ("Odds ratio, Wald", "Odds ratio"),
}
TEST_NAMES = {
    "pearson": "Pearson chi-squared",
    "yates": "Chi-squared, Yates correction",
    "fisher": "Fisher exact",
    "boschloo": "Boschloo exact",
    "cmh": "Cochran-Mantel-Haenszel by country",
}
COMPONENT_NAMES = {"vas": "Pain (VAS) part", "odi": "Disability (ODI) part", "both": "Both parts"}
COVARIATES = {"COUNTRY": "country", "VASBL": "baseline pain", "ODIBL": "baseline disability"}
INSTRUMENTS = {"VASPAIN": "Pain (VAS)", "ODI": "Disability (ODI)"}
PRIOR_LINES = {"flat": "-", "sceptical": (0, (4, 1.5)), "enthusiastic": (0, (1, 1.2))}


def arms_table(results: Results, arms: Arms, month: float) -> Table:
    """Randomised, known, responders and standardised risks by arm."""
    rows = [
        Row("Randomised, n", tuple(format_result(results[f"response.randomised.{r}"]) for r in ROLES)),
        Row(
            f"Response at month {month:g} known, n", tuple(format_result(results[f"response.known.{r}"]) for r in ROLES)
        ),
        Row("Responders, n (% of known)", tuple(_share(results, f"response.rate.{r}") for r in ROLES), indent=1),
        Row(
            f"{format_level(results['response.rate.treatment'].level)} CI, Wilson, %",
            tuple(_interval(results, f"response.rate.{r}") for r in ROLES),
            indent=1,
        ),
        Row("Adjusted probability of response, %", tuple(_number(results, f"response.risk.{r}") for r in ROLES)),
        Row(
            f"{format_level(results['response.rate.treatment'].level)} CI, %",
            tuple(_interval(results, f"response.risk.{r}") for r in ROLES),
            indent=1,
        ),
    ]
    ids = [f"response.{name}.{r}" for name in ("randomised", "known", "rate", "risk") for r in ROLES]
    return Table(
        label="tbl-response",
        caption=f"Response at month {month:g}; intention-to-treat set.",
        columns=("", arms.treatment, arms.control),
        rows=tuple(rows),
        text_columns=frozenset({1, 2}),
        notes=(
            "Adjusted probability: standardised over the baseline covariates of all randomised participants, missing "
            "outcomes multiply imputed. CI, confidence interval.",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )


def _share(results: Results, id: str) -> str:
    r = results[id]
    return EMPTY if not r.estimable else f"{format_result(r, 'count')} ({format_percent(r.value, r.n)})"


def _number(results: Results, id: str) -> str:
    return format_result(results[id].replace(digits=1), "number")


def _interval(results: Results, id: str) -> str:
    r = results[id].replace(digits=1)
    return format_result(r, "ci").replace("%", "") if r.estimable else EMPTY


def difference_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """The treatment difference by every method, the main analysis first."""
    lines = [Line(stub, results[f"response.{id}"], group) for id, (stub, group) in DIFFERENCES.items()]
    return estimate_table(
        lines,
        label="tbl-response-differences",
        caption=f"Treatment difference in response at month {month:g}, in percentage points; intention-to-treat set.",
        stub="Analysis",
        estimate="Difference",
        level=level,
        headings=(f"n {arms.treatment}", f"n {arms.control}"),
        notes=(
            "Adjusted: g-computation from logistic regression. Standard errors by the influence function, or with the "
            f"covariates fixed (HC0). Differences are {arms.treatment} − {arms.control}.",
        ),
    )


def ratio_table(results: Results, arms: Arms, level: float, month: float) -> Table:
    """Risk and odds ratios of response."""
    lines = [Line(stub, results[f"response.{id}"], group) for id, (stub, group) in RATIOS.items()]
    return estimate_table(
        lines,
        label="tbl-response-ratios",
        caption=f"Relative measures of response at month {month:g}; complete cases of the intention-to-treat set.",
        stub="Measure and interval",
        estimate="Ratio",
        level=level,
        headings=(f"n {arms.treatment}", f"n {arms.control}"),
        notes=(f"Ratios are {arms.treatment} over {arms.control}.",),
    )


def test_table(results: Results, month: float) -> Table:
    """Tests of equal proportions."""
    ids = [f"response.test.{name}" for name in (*TESTS, "cmh")]
    rows = [
        Row(TEST_NAMES[id.rpartition(".")[2]], (format_p(results[id].p) if results[id].estimable else EMPTY,))
        for id in ids
    ]
    return Table(
        label="tbl-response-tests",
        caption=f"Tests of equal proportions of responders at month {month:g}; complete cases.",
        columns=("Test", "p"),
        rows=tuple(rows),
        notes=("All tests are two-sided.", *footnotes(results[id] for id in ids)),
        results=tuple(ids),
    )


def component_table(results: Results, study: Study) -> Table:
    """The two parts of the response, alone and together."""
    lines, arms, parameters = [], study.arms, study.parameters
    for name in COMPONENTS:
        treatment, control = (results[f"response.component.{name}.{role}"] for role in ROLES)
        shares = [format_result(r, "fraction") if r.estimable else EMPTY for r in (treatment, control)]
        difference = results[f"response.component.{name}.difference"]
        lines.append(Comparison(f"{COMPONENT_NAMES[name]}, n of N (%)", shares[0], shares[1], difference))
    return comparison_table(
        lines,
        label="tbl-response-components",
        caption=(
            f"Parts of the response at month {parameters.primary_month:g}; complete cases of the intention-to-treat "
            "set."
        ),
        stub="Part",
        headings=(arms.treatment, arms.control),
        level=parameters.level,
        difference="Difference, points",
        p=False,
        notes=(
            f"Differences are {arms.treatment} − {arms.control}, in percentage points, with Newcombe intervals. "
            + ("Rescue is ignored." if parameters.rescue == "ignored" else "A rescued participant has neither part."),
        ),
    )


def difference_figure(results: Results, arms: Arms, month: float) -> Figure:
    """The treatment difference by every method on one axis."""
    main = results["response.rd.main"]
    rows = [
        ForestRow(stub, results[f"response.{id}"], main=id == "rd.main", n="")
        for id, (stub, _) in DIFFERENCES.items()
        if not id.endswith("_fixed")
    ]
    return forest(
        rows,
        label="fig-response",
        caption=(
            f"Treatment difference in response at month {month:g} ({arms.treatment} − {arms.control}), with confidence "
            f"intervals; intention-to-treat set, {main.n_treatment} and {main.n_control} randomised. The diamond is "
            "the main analysis."
        ),
        alt=f"Main analysis: difference in response {format_result(main, 'full')}; other methods beneath it.",
        xlabel="Difference in responders, percentage points",
        arms=arms,
        scale=100,
    )


def cumulative_figure(curves: pd.DataFrame, study: Study) -> Figure:
    """Cumulative responder curves: who improved by at least so much."""
    drawing, axes = canvas(2.7, columns=2, sharey=True)
    arms, month = study.arms, study.parameters.primary_month
    rules = {"VASPAIN": study.parameters.vas_rule_percent, "ODI": study.parameters.odi_rule_percent}
    if study.parameters.odi_rule == "points":
        del rules["ODI"]
    at_rule = []
    rescued = (
        "rescue is ignored" if study.parameters.rescue == "ignored" else "a rescued participant counts as not improved"
    )
    for ax, (code, name) in zip(axes, INSTRUMENTS.items(), strict=True):
        panel = curves[curves["parameter"] == code]
        n = {}
        for role in ROLES:
            line = panel[panel["arm"] == role]
            n[role] = int(line["n"].iloc[0])
            ax.plot(
                line["threshold"], line["share"] * 100, color=COLOUR[role], linestyle=LINE[role], drawstyle="steps-pre"
            )
            if code in rules:
                share = line.loc[line["threshold"] == round(rules[code]), "share"].iloc[0]
                at_rule.append(f"{name} by {rules[code]:g}%, {arms[role]} {format_percent(share, n[role])}")
        if code in rules:
            ax.axvline(rules[code], color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
            ax.annotate(
                f"rule: {rules[code]:g}%", (rules[code], 0), xycoords=("data", "axes fraction"), xytext=(3, 3),
                textcoords="offset points", color=GREY, fontsize=8,
            )  # fmt: skip
        ax.set_title(f"{name}: n = {n['treatment']} and {n['control']}")
        ax.set_xlabel("Improvement from baseline of at least, %")
        ax.set_xlim(-100, 100)
        ax.set_ylim(0, 102)
    axes[0].set_ylabel("Participants, %")
    ends = {role: (arms[role], 88.0 - 12 * k) for k, role in enumerate(ROLES)}
    label_ends(axes[1], ends)
    return figure(
        drawing,
        label="fig-cumulative",
        caption=(
            f"Cumulative responder curves at month {month:g}: the share of participants whose pain or disability "
            f"improved by at least the value on the axis. Complete cases; {rescued}. Dotted: what the rule asks for, "
            f"which for pain is also {study.parameters.vas_rule_mm:g} mm."
        ),
        alt=f"Share with at least the relative improvement of the rule: {'; '.join(at_rule)}.",
        data=curves,
    )


def posterior_figure(results: Results, densities: pd.DataFrame, arms: Arms) -> Figure:
    """Posterior densities of the difference under three priors."""
    drawing, (ax,) = canvas(2.5)
    for prior, line in densities.groupby("prior", sort=False):
        ax.plot(
            line["difference"] * 100, line["density"] / 100, color=INK, linestyle=PRIOR_LINES[str(prior)], label=prior
        )
    ax.axvline(0, color=GREY, linewidth=0.8)
    if len(densities):
        ax.legend(title="Prior", loc="upper right")
    reach = _posterior_reach(densities)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(bottom=0)
    axis = f"Difference in responders ({arms.treatment} − {arms.control}), percentage points"
    ax.set_xlabel(textwrap.fill(axis, 90))
    ax.set_ylabel("Posterior density")
    ids = [f"response.bayes.{prior}.difference" for prior in PRIOR_LINES]
    flat = results["response.bayes.flat.difference"]
    return figure(
        drawing,
        label="fig-posterior",
        caption=(
            "Posterior density of the difference in response under three priors; complete cases, "
            f"n = {flat.n_treatment} and {flat.n_control}."
        ),
        alt=f"Under the flat prior the difference is {format_result(flat, 'full')}.",
        data=densities,
        results=ids,
    )


def _posterior_reach(densities: pd.DataFrame) -> float:
    """Percentage points to draw on either side of 0: 60, unless a posterior goes beyond or would be a mere spike."""
    seen = densities.loc[densities["density"] > densities["density"].max() / 500, "difference"].abs().max() * 100
    return 60.0 if not len(densities) or 20 < seen < 60 else min(1.1 * float(seen), 100.0)


def bayes_table(results: Results, level: float) -> Table:
    """Posterior summaries by prior."""
    rows, ids = [], []
    for prior in PRIOR_LINES:
        difference, benefit, margin = (
            results[f"response.bayes.{prior}.{name}"]
            for name in ("difference", "probability_benefit", "probability_margin")
        )
        ids += [difference.id, benefit.id, margin.id]
        if not difference.estimable:
            rows.append(Row(prior.capitalize(), (EMPTY,) * 4))
            continue
        probabilities = [format_result(r) for r in (benefit, margin)]
        rows.append(
            Row(prior.capitalize(), (format_points(difference.value), format_result(difference, "ci"), *probabilities))
        )
    return Table(
        label="tbl-bayes",
        caption="Posterior of the difference in response, in percentage points; complete cases.",
        columns=("Prior", "Mean", f"{format_level(level)} CrI", "P(difference > 0)", "P(difference > margin)"),
        rows=tuple(rows),
        notes=(
            "CrI, equal-tailed credible interval. Priors: "
            + "; ".join(results[f"response.bayes.{prior}.difference"].method for prior in PRIOR_LINES)
            + f". The margin is {100 * MARGIN:g} percentage points.",
            *footnotes(results[i] for i in ids),
        ),
        results=tuple(ids),
    )


def sentences(results: Results, study: Study) -> Results:
    """Verdict, key finding and abstract of the first co-primary endpoint."""
    said = Results()
    main, alpha = results["response.rd.main"], study.parameters.alpha
    treatment, control = wording.literal(study.arms.treatment), wording.literal(study.arms.control)
    month = study.parameters.primary_month
    verdict = wording.verdict(main, "The first co-primary endpoint", alpha, control, higher_is_better=True)
    rates = _rates(results, treatment, control)
    difference = wording.difference(main, "adjusted difference")
    for name, text in definition(study.parameters).items():
        said.state(f"response.{name}", text)
    said.state("response.verdict", verdict)
    said.state("response.excluded", wording.excluded(main, "difference in response", higher_is_better=True))
    said.state("response.key", f"{rates}; {difference}. {verdict}")
    said.state("response.abstract", f"At month {month:g}, {rates[:1].lower() + rates[1:]}; {difference}. {verdict}")
    same = [
        wording.differs(results[f"response.test.{t}"], alpha) for t in TESTS if results[f"response.test.{t}"].estimable
    ]
    agree = (
        "No test of the unadjusted proportions could be made."
        if not same
        else "No test of the unadjusted proportions rejects equality."
        if not any(same)
        else "All tests of the unadjusted proportions reject equality."
        if all(same)
        else "The tests of the unadjusted proportions disagree on whether equality is rejected."
    )
    said.state("response.tests", agree)
    flat = results["response.bayes.flat.probability_benefit"]
    said.state(
        "response.belief",
        "Without responses in both arms there is no posterior."
        if not flat.estimable
        else f"Under the flat prior the posterior probability that response is more frequent with {treatment} than "
        f"with {control} is {{response.bayes.flat.probability_benefit}}; that the difference exceeds {100 * MARGIN:g} "
        "percentage points, it is {response.bayes.flat.probability_margin}.",
    )
    return said


def definition(parameters: Parameters) -> dict[str, str]:
    """How response is defined and analysed, in words: phrases for the abstract and the methods.

    ``rule`` and ``odi_threshold`` say what improvement makes a responder, ``rescue`` what a rescue makes of a response,
    ``strategy`` the name of that in the estimand framework, ``model`` what the logistic regression is on.
    """
    odi = (
        f"{parameters.odi_rule_percent:g}% of baseline"
        if parameters.odi_rule == "relative"
        else f"{parameters.odi_rule_percent:g} points"
    )
    composite = parameters.rescue == "non_responder"
    covariates = [COVARIATES[name] for name in parameters.covariates]
    return {
        "rule": (
            f"pain improved by at least {parameters.vas_rule_mm:g} mm and {parameters.vas_rule_percent:g}% of "
            f"baseline, or the Oswestry Disability Index by at least {odi}"
        ),
        "odi_threshold": odi,
        "rescue": (
            "A participant rescued before the visit is a non-responder, whether or not the scores are known."
            if composite
            else "Rescue is ignored: the scores count as they were recorded."
        ),
        "strategy": "a composite strategy" if composite else "a treatment-policy strategy",
        "model": wording.listed(["arm", *covariates]),
    }


def _rates(results: Results, treatment: str, control: str) -> str:
    labels = {"treatment": treatment, "control": control}
    known = {role: label for role, label in labels.items() if results[f"response.rate.{role}"].estimable}
    if not known:
        return "The response of no participant is known"
    rates = wording.listed([f"{{response.rate.{role}|fraction}} with {label}" for role, label in known.items()])
    text = f"Of the participants with a known response, {rates} responded"
    unknown = [label for role, label in labels.items() if role not in known]
    return f"{text}, and with {unknown[0]} no response is known" if unknown else text
