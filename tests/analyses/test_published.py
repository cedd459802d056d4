"""What the published numbers imply, against the facts of data/published/README.md."""

from __future__ import annotations

from respine.analyses import published
from respine.analyses.study import Study
from respine.display import published as display


def test_only_yates_gives_the_published_p() -> None:
    results = published.analyse()
    assert results["published.pairs.yates"].value == 6
    assert [t for t in published.TESTS if results[f"published.pairs.{t}"].value] == ["yates"]


def test_the_sham_percentage_fits_no_whole_count_of_all_randomised() -> None:
    results = published.analyse()
    assert results["published.whole.control"].value == 0
    assert results["published.whole.treatment"].value == 1


def test_implied_difference_excludes_thirty_points_and_not_twenty() -> None:
    results = published.analyse()
    assert results["published.excluding.30"].value == results["published.pairs"].value
    assert results["published.excluding.20"].value == 0


def test_p_values_of_all_randomised() -> None:
    p = {test: round(r.p, 3) for test, r in published.tests_of_all_randomised().items()}
    assert (p["pearson"], p["yates"], p["fisher"]) == (0.593, 0.745, 0.678)


def test_shipped_data_reproduce_what_they_are_calibrated_to(shipped: Study) -> None:
    rows = {row.id: row for row in published.compare(shipped)}
    for id in ("design.randomised.msc", "design.randomised.sham", "primary.responders.msc", "primary.responders.sham"):
        assert rows[id].status == "reproduced"
    assert rows["baseline.all"].status == "not available"
    assert rows["baseline.all"].published == ""


def test_another_trial_is_not_called_reproduced(effect: Study) -> None:
    rows = {row.id: row for row in published.compare(effect)}
    assert rows["primary.met"].status == "not reproducible"
    said = display.sentences(published.analyse(), list(rows.values()))
    assert "as published" in said["published.key"].text
