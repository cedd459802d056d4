"""What the published numbers imply, against the facts of data/published/README.md."""

from __future__ import annotations

from respine.analyses import published
from respine.analyses.study import Study
from respine.display import published as display
from respine.display.numbers import format_result


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
    results = published.analyse()
    p = {test: round(results[f"published.nearest.{test}"].p, 3) for test in published.TESTS}
    assert (p["pearson"], p["yates"], p["fisher"]) == (0.593, 0.745, 0.678)


def test_no_whole_count_of_all_randomised_prints_as_69_percent() -> None:
    results = published.analyse()
    below, above = (results[f"published.nearest.control.{name}"] for name in ("below", "above"))
    assert (format_result(below, "fraction"), format_result(above, "fraction")) == (
        "38 of 56 (67.9%)",
        "39 of 56 (69.6%)",
    )
    said = display.sentences(results, [])["published.whole"].text
    assert "{published.nearest.control.below|fraction} and {published.nearest.control.above|fraction}" in said
    assert said.startswith("One whole count of all participants randomised to cells gives")


def test_the_figure_draws_every_pair_that_fits() -> None:
    results = published.analyse()
    figure = display.implied_figure(results)
    assert [id for id in figure.results if id.startswith("published.fitting.")] == [
        f"published.fitting.r{k}" for k in range(1, 7)
    ]
    assert "no interval of a pair reaches 30 points" in figure.alt
    assert results["published.fitting.r5"].n_treatment == 50  # 37 of 50 against 34 of 49, the synthetic data set's
    assert results["published.fitting.r5"].value == 37 / 50 - 34 / 49


def test_both_readings_of_the_odi_threshold_are_counted(shipped: Study) -> None:
    results = published.readings(shipped)
    fractions = [
        format_result(results[f"published.reading.{reading}.{role}"], "fraction")
        for reading in published.READINGS
        for role in ("treatment", "control")
    ]
    assert fractions == ["37 of 50 (74%)", "34 of 49 (69%)", "33 of 50 (66%)", "29 of 49 (59%)"]
    said = display.reading_sentence(results, shipped)["published.reading"].text
    assert said.index("relative to baseline") < said.index("in points")


def test_shipped_data_reproduce_what_they_are_calibrated_to(shipped: Study) -> None:
    rows = {row.id: row for row in published.compare(shipped)}
    for id in ("design.randomised.msc", "design.randomised.sham", "primary.responders.msc", "primary.responders.sham"):
        assert rows[id].status == "reproduced"
    assert (rows["primary.p"].published, rows["primary.p"].status) == ("0.77", "reproduced")
    assert rows["baseline.all"].status == "not available"
    assert rows["baseline.all"].published == ""


def test_another_trial_is_not_called_reproduced(effect: Study) -> None:
    rows = {row.id: row for row in published.compare(effect)}
    assert rows["primary.met"].status == "not reproducible"
    said = display.sentences(published.analyse(), list(rows.values()))
    assert "as published" in said["published.key"].text
