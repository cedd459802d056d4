from __future__ import annotations

import dataclasses

import pytest
from scipy.stats import chi2_contingency

from respine.trial.published import (
    PUBLISHED,
    PublishedValue,
    UnknownPublishedError,
    load_context_trials,
    load_published,
    published,
)


def test_a_row_is_found_by_its_id():
    responders = published("primary.responders.msc")
    assert responders.number == 74
    assert responders.unit == "percent"
    assert responders.p_value == "0.77"
    assert responders.source == "10.1136/ard-2024-225771"
    assert responders.available


def test_every_row_has_source_where_published_and_no_value_where_not():
    frame = load_published()
    assert set(frame["status"]) == {"published", "not available"}
    assert (frame.loc[frame["status"] == "published", "source"] != "").all()
    missing = frame[frame["status"] == "not available"]
    assert set(missing["id"]) == {
        "flow.screened", "flow.analysed.msc", "flow.analysed.sham", "baseline.all", "secondary.values",
        "structural.values", "immune.values", "safety.counts",
    }  # fmt: skip
    assert (missing[["value", "p_value"]] == "").all(axis=None)
    assert frame["id"].is_unique
    assert len(frame) == 37


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(UnknownPublishedError, match=r"did you mean primary\.responders\.msc") as error:
        published("primary.responder.msc")
    assert "no published result 'primary.responder.msc'" in str(error.value)
    with pytest.raises(UnknownPublishedError) as error:
        published("zzz")
    assert str(error.value) == "no published result 'zzz'"


@pytest.mark.parametrize("id", ["flow.screened", "primary.met", "design.visits"])
def test_what_is_not_one_number_is_not_read_as_one(id):
    with pytest.raises(ValueError, match="is not one number"):
        _ = published(id).number


def test_a_value_cannot_stand_in_a_row_that_is_not_available():
    row = published("flow.screened")
    with pytest.raises(ValueError, match="'not available'"):
        dataclasses.replace(row, value="170")
    with pytest.raises(ValueError, match="neither"):
        dataclasses.replace(row, status="assumed")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.value = "170"


def test_a_doubled_id_is_refused(tmp_path):
    lines = (PUBLISHED / "published_results.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "published_results.csv").write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        load_published(tmp_path)


def test_the_columns_are_the_fields():
    header = (PUBLISHED / "published_results.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == [field.name for field in dataclasses.fields(PublishedValue)]


def test_context_trials():
    trials = load_context_trials().set_index("id")
    assert trials.loc["dream", ["randomised", "compared_treatment", "compared_control"]].tolist() == [52, 21, 25]
    assert trials.loc["levi_2025", ["compared_treatment", "compared_control"]].tolist() == [45, 18]
    assert trials["randomised"].isna().tolist() == [False, True, False]
    assert "3.15" in trials.loc["noriega_2017", "result"]


def test_the_readme_lists_the_six_compatible_pairs():
    treatment, control = (published(f"primary.responders.{arm}") for arm in ("msc", "sham"))
    sizes = [published(f"design.randomised.{arm}").number for arm in ("msc", "sham")]

    def counts(percent, most):
        pairs = [(x, n) for n in range(40, int(most) + 1) for x in range(n + 1)]
        return [(x, n) for x, n in pairs if abs(100 * x / n - percent) < 0.5]

    found = []
    for x1, n1 in counts(treatment.number, sizes[0]):
        for x0, n0 in counts(control.number, sizes[1]):
            table = [[x1, n1 - x1], [x0, n0 - x0]]
            if round(float(chi2_contingency(table, correction=True).pvalue), 2) == float(treatment.p_value):
                found.append((x1, n1, x0, n0, round(float(chi2_contingency(table).pvalue), 3)))
            assert round(float(chi2_contingency(table, correction=False).pvalue), 2) != float(treatment.p_value)
    readme = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert [f"| {x1} of {n1} | {x0} of {n0} | {p:.3f} |" for x1, n1, x0, n0, p in found] == [
        line for line in readme.splitlines() if " of " in line and line.startswith("| ")
    ]
    assert len(found) == 6
