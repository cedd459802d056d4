"""Two reports compared number by number, and results.csv read back without loss."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from respine.book.collect import Collected, Place
from respine.book.diff import Change, compare, counts, differing, html_page, on_screen, printed, summary, write_csv
from respine.book.failures import RefusedError
from respine.book.results_file import PlacedResult, read_results
from respine.results import Estimate, Results, not_estimable

HOSTILE = "=cmd|' /C calc'!A0 <script>alert(1)</script>"


def results(rate: float = 0.74, verdict: str = "did not differ", structure: float | None = 1.5) -> Results:
    rows = Results()
    rows.add(
        "response.rate", Estimate(statistic="proportion", value=rate, lower=0.6, upper=0.85, p=0.1, n=50), visit=12.0
    )
    rows.add("response.n", Estimate(statistic="count", value=50))
    rows.add("zero.rd", Estimate(statistic="difference", value=0.0))
    estimate = not_estimable("mean", "no data") if structure is None else Estimate(statistic="mean", value=structure)
    rows.add("structure.t2", estimate, digits=1)
    rows.state("response.verdict", f"The arms {verdict}.")
    rows.add("safety.term", Estimate(statistic="count", value=1, note=HOSTILE))
    return rows


def placed(rows: Results) -> dict[str, PlacedResult]:
    return {id: PlacedResult(row, "chapters/response", "cell") for id, row in rows.items()}


def changes(old: Results, new: Results) -> dict[str, Change]:
    return {change.id: change for change in compare(placed(old), placed(new))}


def test_equal_reports_have_no_changes() -> None:
    found = changes(results(), results())
    assert not differing(found.values())
    assert summary(list(found.values())) == "6 unchanged, 0 changed"


def test_a_changed_number_has_absolute_and_relative_change() -> None:
    change = changes(results(), results(rate=0.70))["response.rate"]
    assert change.kind == "changed"
    assert math.isclose(change.absolute, -0.04, rel_tol=1e-12)
    assert math.isclose(change.relative, -0.04 / 0.74, rel_tol=1e-12)
    assert printed(change)[2:8] == ("0.74", "0.7", "-0.04", "-5.41%", "0.6 to 0.85", "0.6 to 0.85")


def test_the_last_digits_are_no_change_but_a_small_one_is() -> None:
    assert changes(results(), results(rate=0.74 * (1 + 1e-12)))["response.rate"].kind == "same"
    assert changes(results(), results(rate=0.74 * (1 + 1e-8)))["response.rate"].kind == "changed"


def test_a_change_from_zero_has_no_relative_change() -> None:
    new = results()
    new = Results([*(row for row in new.values() if row.id != "zero.rd")])
    new.add("zero.rd", Estimate(statistic="difference", value=0.25))
    change = changes(results(), new)["zero.rd"]
    assert (change.kind, change.absolute, math.isnan(change.relative)) == ("changed", 0.25, True)


def test_an_interval_or_p_alone_is_a_change() -> None:
    new = Results(row.replace(upper=0.9) if row.id == "response.rate" else row for row in results().values())
    assert changes(results(), new)["response.rate"].kind == "changed"
    new = Results(row.replace(p=0.04) if row.id == "response.rate" else row for row in results().values())
    assert changes(results(), new)["response.rate"].kind == "changed"


def test_verdicts_come_first_then_the_largest_changes() -> None:
    new = results(rate=0.75, verdict="differed", structure=None)
    new.add("new.one", Estimate(statistic="count", value=1))
    found = differing(compare(placed(results()), placed(new)))
    assert [(c.id, c.kind) for c in found] == [
        ("response.verdict", "flipped"),
        ("structure.t2", "estimability"),
        ("response.rate", "changed"),
        ("new.one", "added"),
    ]
    assert counts(compare(placed(new), placed(results())))["removed"] == 1


def test_the_whole_comparison_as_csv(tmp_path: Path) -> None:
    write_csv(changes(results(), results(rate=0.7)).values(), tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert (float(rows["response.rate"]["absolute"]), rows["response.n"]["kind"]) == (0.7 - 0.74, "same")
    assert rows["zero.rd"]["relative"] == ""


def test_the_page_keeps_text_inert_and_asks_nobody() -> None:
    new = Results(
        row if row.id != "response.verdict" else type(row)(**{**_fields(row), "text": HOSTILE})
        for row in results().values()
    )
    page = html_page(compare(placed(results()), placed(new)), "old<b>", "new")
    assert "<script>" not in page
    assert "old&lt;b&gt;" in page
    assert "://" not in page


def test_sentences_are_compared_by_their_words_and_shown_with_their_numbers() -> None:
    same = changes(results(verdict="were at {response.rate}"), results(0.7, verdict="were at {response.rate}"))
    assert same["response.verdict"].kind == "same"
    found = changes(results(verdict="were at {response.rate}"), results(0.7, verdict="differed at {response.rate}"))
    assert printed(found["response.verdict"])[2:4] == ("The arms were at 0.74.", "The arms differed at 0.70.")


def test_a_sentence_with_other_numbers_alone_has_not_flipped() -> None:
    old = results(verdict="differ by −1.9 to 8.6 points (p = 0.36) in 66 ways")
    assert (
        changes(old, results(verdict="differ by 0.3 to 12 points (p = 0.04) in 66 ways"))["response.verdict"].kind
        == "same"
    )
    assert changes(old, results(verdict="are equal (p = 0.36) in 66 ways"))["response.verdict"].kind == "flipped"


def test_a_change_on_a_screen() -> None:
    found = changes(results(), results(rate=0.7, verdict="differed"))
    assert on_screen(found["response.rate"]) == (
        "response.rate: changed by -0.04, -5.41%\n  - 0.74 (0.6 to 0.85) p = 0.1\n  + 0.7 (0.6 to 0.85) p = 0.1"
    )
    assert on_screen(found["response.verdict"]) == (
        "response.verdict\n  - The arms did not differ.\n  + The arms differed."
    )
    new = results()
    new.add("new.one", Estimate(statistic="count", value=1))
    assert on_screen(changes(results(), new)["new.one"]) == "new.one: added\n  -\n  + 1"


def test_a_sentence_that_names_what_is_gone_is_shown_as_stored() -> None:
    found = changes(results(), results(verdict="had {no.result|full}"))["response.verdict"]
    assert printed(found)[3] == "The arms had {no.result|full}."


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__} | {  # type: ignore[attr-defined]
        name: getattr(row, name) for name in Estimate.__slots__
    }


def test_a_results_table_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    rows = results(rate=0.1 + 0.2)
    places = {id: Place("chapters/response", "cell-7", 3) for id in rows}
    Collected(results=rows, places=places).write_csv(tmp_path / "results.csv")
    back = read_results(tmp_path)
    assert list(back) == list(rows)
    assert Results(row.result for row in back.values()).to_records() == rows.to_records()
    assert (back["response.rate"].chapter, back["response.rate"].cell) == ("chapters/response", "cell-7")
    assert back["safety.term"].result.note == HOSTILE


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "id,statistic,value\nx.y,count,many\n", "id,statistic,value\nX,count,1\n"]
)
def test_what_is_no_results_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(RefusedError, match="not a results table"):
        read_results(tmp_path)


def test_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"there is no results\.csv"):
        read_results(tmp_path / "nowhere")
