from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest
from scipy import stats

from respine.analyses import safety
from respine.analyses.study import Study
from respine.display import safety as display
from respine.display.numbers import format_result
from respine.results import Result, Results
from tests.analyses.conftest import SHIPPED, study_of
from tests.builders import put, tiny_trial

LABELS = {"treatment": "BM-MSC", "control": "Sham"}
HOSTILE = (
    "<script>alert(1)</script>", "=cmd|'/C calc'!A0", "{x.y} $\\alpha$ **b**", "\u202eabc\u200b \U0001f600 中文",
    "x" * 10_000, "back pain", "Back Pain!", "日本", "日",
)  # fmt: skip


def spoken(results: Results, text: str) -> str:
    """A statement with its numbers printed."""
    printed = ""
    for literal, reference, _, _ in Formatter().parse(text):
        id, _, part = (reference or "").partition("|")
        printed += literal + (format_result(results[id], part or "value") if id else "")
    return printed.replace("\u00a0", " ")


def rows_of(table: str) -> list[dict[str, str]]:
    with (SHIPPED / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def treated(label: str) -> dict[str, dict[str, str]]:
    return {row["USUBJID"]: row for row in rows_of("adsl") if row["TRT01A"] == label}


def emergent(people: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    events = [row for row in rows_of("adae") if row["USUBJID"] in people]
    return [row for row in events if row["ASTDY"] == "" or int(row["ASTDY"]) >= 1]


KINDS: dict[str, Callable[[dict[str, str]], bool]] = {
    "any": lambda row: True,
    "serious": lambda row: row["AESER"] == "Y",
    "related": lambda row: row["AEREL"] in ("POSSIBLE", "PROBABLE", "RELATED"),
    "definite": lambda row: row["AEREL"] == "RELATED",
    "serious_related": lambda row: row["AESER"] == "Y" and row["AEREL"] in ("POSSIBLE", "PROBABLE", "RELATED"),
    "severe": lambda row: row["AESEV"] == "SEVERE",
}


@pytest.mark.parametrize("role", safety.ROLES)
def test_the_overview_counts_as_in_the_file(shipped: Study, role: str) -> None:
    results, people = safety.analyse(shipped), treated(LABELS[role])
    years = sum(float(row["EOSDY"]) for row in people.values()) / 365.25
    assert results[f"safety.n.{role}"].value == len(people)
    assert results[f"safety.exposure.{role}"].value == pytest.approx(years)
    for kind, has in KINDS.items():
        events = [row for row in emergent(people) if has(row)]
        share = results[f"safety.{kind}.participants.{role}"]
        assert share.value == pytest.approx(len({row["USUBJID"] for row in events}) / len(people))
        assert results[f"safety.{kind}.events.{role}"].value == len(events)
        rate = results[f"safety.{kind}.rate.{role}"]
        lower = stats.chi2.ppf(0.025, 2 * len(events)) / 2 if events else 0
        upper = stats.chi2.ppf(0.975, 2 * len(events) + 2) / 2
        expected = [100 * x / years for x in (len(events), lower, upper)]
        assert [rate.value, rate.lower, rate.upper] == pytest.approx(expected)
    left = Counter(row["DCSREAS"] for row in people.values())
    assert results[f"safety.leaving.participants.{role}"].value == pytest.approx(left["ADVERSE EVENT"] / len(people))


def test_terms_are_compared_as_in_the_file(shipped: Study) -> None:
    results = safety.analyse(shipped)
    n = {role: len(treated(label)) for role, label in LABELS.items()}
    pairs = {
        role: {(row["AEBODSYS"], row["AEDECOD"], row["USUBJID"]) for row in emergent(treated(label))}
        for role, label in LABELS.items()
    }
    with_term = {role: Counter(term for _, term, _ in found) for role, found in pairs.items()}
    terms = sorted(set().union(*with_term.values()))
    p = {}
    for term in terms:
        x1, x0 = with_term["treatment"][term], with_term["control"][term]
        slug = re.sub(r"[^a-z0-9]+", "_", term.lower())
        difference = results[f"safety.pt.{slug}.difference"]
        assert difference.parameter == term
        assert difference.value == pytest.approx(x1 / n["treatment"] - x0 / n["control"])
        p[term] = stats.fisher_exact([[x1, n["treatment"] - x1], [x0, n["control"] - x0]]).pvalue
        assert difference.p == pytest.approx(p[term])
    adjusted = dict(zip(terms, stats.false_discovery_control([p[term] for term in terms]), strict=True))
    found = {r.parameter: r.p for r in results.values() if r.id.endswith(".q")}
    assert found == pytest.approx(adjusted)


def test_the_worst_severity_is_counted_once(shipped: Study) -> None:
    results, people = safety.analyse(shipped), treated("Sham")
    order = ["MILD", "MODERATE", "SEVERE"]
    worst: dict[str, int] = {}
    for row in emergent(people):
        worst[row["USUBJID"]] = max(worst.get(row["USUBJID"], 0), order.index(row["AESEV"]))
    for rank, severity in enumerate(order):
        share = results[f"safety.severity.any.{severity.lower()}.control"]
        assert share.value == pytest.approx(list(worst.values()).count(rank) / len(people))


def test_parts_add_up(shipped: Study) -> None:
    results = safety.analyse(shipped)
    for role in safety.ROLES:
        events = results[f"safety.any.events.{role}"].value
        for level in ("soc", "pt"):
            counts = [r.value for r in results.select(f"safety.{level}").values() if r.id.endswith(f".events.{role}")]
            assert sum(counts) == events
        serious = [r.value for r in results.select("safety.serious_pt").values() if r.id.endswith(f".events.{role}")]
        assert sum(serious) == results[f"safety.serious.events.{role}"].value
        severities = [results[f"safety.severity.any.{s.lower()}.{role}"].value for s in safety.SEVERITIES]
        assert sum(severities) == pytest.approx(results[f"safety.any.participants.{role}"].value)


def test_limits_without_an_event(shipped: Study) -> None:
    """1 - 0.05^(1/n), and 3/n; only where nobody had the outcome."""
    results = safety.analyse(shipped)
    for role in safety.ROLES:
        n = results[f"safety.n.{role}"].n or 0
        assert results[f"safety.serious_related.bound.{role}"].value == pytest.approx(1 - 0.05 ** (1 / n))
        assert results[f"safety.serious_related.three.{role}"].value == pytest.approx(3 / n)
        assert f"safety.any.bound.{role}" not in results


def test_the_level_of_limits_follows_alpha(tmp_path: Path) -> None:
    folder = tiny_trial(tmp_path, adae=lambda table: table.assign(AESER="N"))
    study = study_of(folder, alpha=0.1)
    results = safety.analyse(study)
    assert results["safety.serious_related.bound.control"].value == pytest.approx(1 - 0.1 ** (1 / 7))
    assert "the one-sided 90% upper limit" in spoken(results, display.sentences(results, study)["safety.key"].text)


def test_unknown_days_count_and_earlier_events_do_not(tmp_path: Path) -> None:
    before = safety.analyse(study_of(tiny_trial(tmp_path / "a")))
    changed = tiny_trial(
        tmp_path / "b", adae=lambda table: put(3, ASTDY="-2", AENDY="")(put(2, ASTDY="", AENDY="")(table))
    )
    results = safety.analyse(study_of(changed))
    total = [sum(r[f"safety.any.events.{role}"].value for role in safety.ROLES) for r in (before, results)]
    assert total[1] == total[0] - 1
    assert [results[f"safety.{name}"].value for name in ("unknown_day", "before", "untreated")] == [1, 1, 0]


def test_arms_are_those_received(tmp_path: Path) -> None:
    """T-001 was allocated to the treatment and received the control; T-002 was never treated."""
    folder = tiny_trial(tmp_path, adsl=lambda t: put(3, TRT01A="", TRTSDT="")(put(2, TRT01A="Sham")(t)))
    results = safety.analyse(study_of(folder))
    assert [results[f"safety.n.{role}"].value for role in safety.ROLES] == [6, 7]
    assert results["safety.untreated"].value == 1


def test_swapping_the_arms_turns_the_differences_round(tmp_path: Path) -> None:
    results = safety.analyse(study_of(tiny_trial(tmp_path / "a")))
    swapped = safety.analyse(study_of(tiny_trial(tmp_path / "b", dataset={"treatment": "Sham", "control": "BM-MSC"})))
    differences = [r for r in results.values() if r.id.endswith(".difference") and r.estimable]
    assert any(r.value != 0 for r in differences)
    for r in differences:
        turned = swapped[r.id]
        assert (turned.value, turned.lower, turned.upper) == pytest.approx((-r.value, -r.upper, -r.lower), abs=1e-12)
        assert turned.p == pytest.approx(r.p, nan_ok=True)


def test_row_order_does_not_matter(tmp_path: Path) -> None:
    one = safety.analyse(study_of(tiny_trial(tmp_path / "a")))
    other = safety.analyse(study_of(tiny_trial(tmp_path / "b", adae=lambda table: table.iloc[::-1])))
    assert one.to_records() == other.to_records()


def test_every_result_stands_in_its_place(shipped: Study) -> None:
    for result in safety.analyse(shipped).values():
        assert (result.analysis, result.set) == ("Adverse events", "SAF")
        assert result.arm in ("treatment", "control", "difference", "overall")
        assert result.method
        if not math.isnan(result.lower):
            assert result.level == 0.95


def everything_shown(results: Results, study: Study) -> str:
    """All outputs of the chapter in one text; making them is a test of its own."""
    arms, level = study.arms, study.parameters.level
    tables = [
        display.overview_table(results, arms, level),
        display.rate_table(results, arms, level),
        display.zero_table(results, arms),
        display.serious_table(results, arms),
        display.severity_table(results, arms),
        display.difference_table(results, arms, level),
        display.term_table(results, arms),
    ]
    drawn = display.term_figure(results, arms)
    assert all(table.rows for table in tables)
    assert all(id in results for item in (*tables, drawn) for id in item.results)
    for item in (*tables, drawn):
        item.bundle()
    text = "\n".join(spoken(results, s.text) for s in display.sentences(results, study).values())
    return "\n".join([text, *(t.to_csv() for t in tables), drawn.caption, drawn.alt, drawn.csv])


@pytest.mark.parametrize("which", ["shipped", "effect", "tiny"])
@pytest.mark.filterwarnings("error")
def test_all_is_shown_without_an_unflagged_number(which: str, request: pytest.FixtureRequest) -> None:
    study: Study = request.getfixturevalue(which)
    text = everything_shown(safety.analyse(study), study)
    assert not re.search(r"\bnan\b|\binf\b|None", text)


@pytest.mark.filterwarnings("error")
def test_terms_are_never_more_than_text(tmp_path: Path) -> None:
    def hostile(table: pd.DataFrame) -> pd.DataFrame:
        terms = [HOSTILE[i % len(HOSTILE)] for i in range(len(table))]
        return table.assign(AEDECOD=terms, AEBODSYS="<b>{{x}}</b>")

    study = study_of(tiny_trial(tmp_path, adae=hostile))
    results = safety.analyse(study)
    text = everything_shown(results, study)
    assert "\u202e" not in text
    assert not re.search(r"(?m)^,?=cmd", text)
    html = display.term_table(results, study.arms).bundle()[0]["text/html"]
    assert "<script" not in html
    assert "<b>" not in html
    assert max(len(row.stub) for row in display.term_table(results, study.arms).rows) == display.TERM_WIDTH["table"]
    assert {"safety.pt.back_pain.q", "safety.pt.back_pain__2.q"} <= set(results)


def test_a_data_set_without_events_has_no_rates(tmp_path: Path) -> None:
    """An empty table is no evidence that nothing happened."""
    study = study_of(tiny_trial(tmp_path, adae=lambda table: table.iloc[:0]))
    results = safety.analyse(study)
    everything_shown(results, study)
    assert results["safety.any.participants.control"].note == "not estimable: the data set holds no adverse event"
    assert "safety.serious_related.bound.control" not in results
    said = display.sentences(results, study)
    for name in ("key", "abstract", "excluded", "serious", "terms"):
        assert said[f"safety.{name}"].text == "No data on adverse events: the data set holds no adverse event."
    assert said["safety.conclusion"].text == "Harms cannot be judged from these data."


def test_one_related_serious_event_reaches_the_conclusion(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adae=put(2, AESER="Y", AEREL="POSSIBLE")))
    said = display.sentences(safety.analyse(study), study)
    for name in ("key", "abstract", "conclusion"):
        assert "at least possibly related to the treatment" in said[f"safety.{name}"].text
        assert "{safety.serious_related.participants.treatment|fraction}" in said[f"safety.{name}"].text


def test_events_before_the_injection_alone_are_no_event(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adae=lambda table: table.assign(ASTDY="-3", AENDY="")))
    results = safety.analyse(study)
    text = everything_shown(results, study)
    assert results["safety.any.participants.treatment"].value == 0
    assert "No serious adverse event occurred; the one-sided 95% upper limit of the risk of a related one" in text
    assert "No preferred term is recorded." in text


def test_an_arm_nobody_received_is_said_to_be_so(tmp_path: Path) -> None:
    def untreated(table: pd.DataFrame) -> pd.DataFrame:
        sham = table["TRT01A"] == "Sham"
        return table.assign(TRT01A=table["TRT01A"].mask(sham, ""), TRTSDT=table["TRTSDT"].mask(sham, ""))

    study = study_of(tiny_trial(tmp_path, adsl=untreated))
    results = safety.analyse(study)
    assert results["safety.any.rate.control"].note == "not estimable: no time at risk"
    assert not results["safety.pt.back_pain.difference"].estimable
    text = everything_shown(results, study)
    assert "(nobody was treated with Sham)" in text
    assert "The arms cannot be compared by preferred term." in text


def test_without_reasons_nobody_is_said_to_have_stayed(tmp_path: Path) -> None:
    study = study_of(tiny_trial(tmp_path, adsl=lambda table: table.drop(columns="DCSREAS")))
    results = safety.analyse(study)
    assert "no reason for leaving" in results["safety.leaving.difference"].note
    assert display.overview_table(results, study.arms, 0.95).rows[-1].cells[0] == "not estimable"


def made_up(
    difference: tuple[float, float, float] = (0.0, -0.1, 0.2),
    *,
    serious: tuple[int, int] = (1, 2),
    related: tuple[int, int] = (0, 0),
    terms: tuple[tuple[str, float, float], ...] = (),
) -> Results:
    """Results of ten participants an arm; terms as (name, difference, adjusted p)."""
    results = Results()

    def add(id: str, value: float, **more: object) -> None:
        note = "" if value == value else "not estimable: made up"
        results.append(Result(id=f"safety.{id}", value=value, note=note, method="made up", **more))

    share = {"statistic": "proportion", "unit": "proportion", "n": 10}
    for k, role in enumerate(safety.ROLES):
        add(f"n.{role}", 10, statistic="count")
        add(f"exposure.{role}", 19.5, statistic="exposure", unit="participant-years")
        for kind, counts in {"any": (8, 7), "serious": serious, "serious_related": related}.items():
            add(f"{kind}.participants.{role}", counts[k] / 10, **share)
        if related[k] == 0:
            add(f"serious_related.bound.{role}", 0.26, **share, level=0.95)
        for name, _, _ in terms:
            add(f"pt.{name}.participants.{role}", 0.5, parameter=f"Term {name}", **share)
    for name in ("unknown_day", "before", "untreated"):
        add(name, 0, statistic="count")
    value, lower, upper = difference
    interval = {"statistic": "risk difference", "unit": "proportion", "level": 0.95}
    add("any.difference", value, lower=lower, upper=upper, **interval)
    for name, value, q in terms:
        add(f"pt.{name}.difference", value, lower=value - 0.1, upper=value + 0.1, **interval)
        add(f"pt.{name}.q", q, p=q, statistic="p-value")
    return results


def said(results: Results, study: Study, name: str) -> str:
    return spoken(results, display.sentences(results, study)[f"safety.{name}"].text)


@pytest.mark.parametrize(
    ("serious", "related", "key", "abstract"),
    [
        (
            (1, 2),
            (0, 0),
            "No serious adverse event was judged related to the treatment; the one-sided 95% upper limit of the risk "
            "of a related one is 26% with BM-MSC and 26% with Sham.",
            "Serious adverse events occurred in 1 of 10 (10%) with BM-MSC and 2 of 10 (20%) with Sham. No serious",
        ),
        (
            (1, 2),
            (1, 0),
            "Serious adverse events at least possibly related to the treatment occurred in 1 of 10 (10%) with BM-MSC "
            "and 0 of 10 (0%) with Sham.",
            "20%) with Sham. Serious adverse events at least possibly related to the treatment occurred in 1 of 10",
        ),
        (
            (0, 0),
            (0, 0),
            "No serious adverse event occurred; the one-sided 95% upper limit of the risk of a related one is 26% with "
            "BM-MSC and 26% with Sham.",
            "20.0). No serious adverse event occurred; the one-sided",
        ),
    ],
)
def test_what_is_said_of_serious_events_follows_from_them(
    shipped: Study, serious: tuple[int, int], related: tuple[int, int], key: str, abstract: str
) -> None:
    results = made_up(serious=serious, related=related)
    assert said(results, shipped, "key").endswith(key)
    assert said(results, shipped, "abstract").endswith(key)
    assert abstract in said(results, shipped, "abstract")


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.2, 0.1, 0.3), "excludes zero: there were more with BM-MSC than with Sham."),
        ((-0.2, -0.3, -0.1), "excludes zero: there were more with Sham than with BM-MSC."),
        ((0.05, -0.1, 0.2), "includes zero and excludes an excess with BM-MSC beyond 20.0 percentage points."),
        ((math.nan, math.nan, math.nan), "The arms cannot be compared."),
    ],
)
def test_what_is_said_of_any_event_follows_from_the_interval(
    shipped: Study, difference: tuple[float, float, float], words: str
) -> None:
    assert said(made_up(difference), shipped, "excluded").endswith(words)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ((), "No preferred term is recorded."),
        ((("a", 0.1, 0.4), ("b", 0.1, 0.05001)), "Over 2 preferred terms, no adjusted p-value is 0.05 or less."),
        ((("a", math.nan, math.nan),), "The arms cannot be compared by preferred term."),
        (
            (("a", 0.3, 0.01), ("b", -0.2, 0.05), ("c", -0.4, 0.001), ("d", 0.0, 1.0)),
            "Over 4 preferred terms, adjusted p-values are 0.05 or less for Term a (more frequent with BM-MSC) and for "
            "Term b and Term c (more frequent with Sham).",
        ),
    ],
)
def test_what_is_said_of_terms_follows_from_the_adjusted_p_values(
    shipped: Study, terms: tuple[tuple[str, float, float], ...], sentence: str
) -> None:
    assert said(made_up(terms=terms), shipped, "terms") == sentence


def test_the_figure_shows_the_commonest_terms_by_difference(shipped: Study) -> None:
    results = safety.analyse(shipped)
    drawn = display.term_figure(results, shipped.arms)
    lines = list(csv.DictReader(drawn.csv.splitlines()))
    differences = [float(line["difference"]) for line in lines]
    assert len(lines) == display.MOST_TERMS
    assert differences == sorted(differences, reverse=True)
    shown = {line["term"] for line in lines}
    table = display.difference_table(results, shipped.arms, 0.95)
    assert shown == {row.stub for row in table.rows[: display.MOST_TERMS]}
