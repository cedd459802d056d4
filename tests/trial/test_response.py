from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from respine.parameters import Parameters
from respine.trial import Trial, load_trial
from respine.trial.response import (
    POST_BASELINE,
    response_from_values,
    responses,
    time_to_first_response,
    time_to_rescue,
)
from tests.builders import put, row_of, tiny_tables, tiny_trial

DEFAULT = Parameters()
NAN = np.nan
ADQS = tiny_tables()["adqs"]


def part(which: str, base: float, value: float, **parameters: object) -> float:
    given = {"vas_base": NAN, "vas": NAN, "odi_base": NAN, "odi": NAN} | {f"{which}_base": base, which: value}
    return float(getattr(response_from_values(**given, parameters=Parameters(**parameters)), which))


@pytest.mark.parametrize(
    ("base", "value", "expected"),
    [
        (100, 80, 1),  # 20 mm and 20%
        (100, 80.1, 0),
        (50, 30, 1),  # 40%, 20 mm
        (50, 31, 0),  # 38%, 19 mm
        (96.2, 76.2, 1),  # 20.000000000000003 mm in binary; 20.8%
        (60.3, 40.3, 1),  # 19.999999999999996 mm in binary
        (20, 0, 1),
        (0, 0, 0),
        (NAN, 30, NAN),
        (50, NAN, NAN),
    ],
)
def test_vas_part(base: float, value: float, expected: float) -> None:
    np.testing.assert_equal(part("vas", base, value), float(expected))


@pytest.mark.parametrize(
    ("base", "value", "expected"),
    [
        (24.5, 19.6, 1),  # 4.9 of 24.5 is 20%; binary says 4.899999999999999
        (24.5, 19.7, 0),
        (50, 40, 1),
        (50, 40.2, 0),
        (0, 0, 0),  # a baseline of 0 cannot improve
        (0, NAN, NAN),
        (NAN, 0, NAN),
    ],
)
def test_odi_part(base: float, value: float, expected: float) -> None:
    np.testing.assert_equal(part("odi", base, value), float(expected))


def test_every_tenth_agrees_with_exact_arithmetic() -> None:
    tenths = range(0, 1001, 7)
    base, value = (np.array(v) for v in zip(*itertools.product(tenths, tenths), strict=True))
    result = response_from_values(base / 10, value / 10, base / 10, value / 10, DEFAULT)
    gain = base - value
    np.testing.assert_array_equal(result.vas, (gain >= 200) & (5 * gain >= base))
    np.testing.assert_array_equal(result.odi, (5 * gain >= base) & (base > 0))


def test_points_rule() -> None:
    assert part("odi", 40, 25, odi_rule="points", odi_rule_percent=15) == 1
    assert part("odi", 40, 25.1, odi_rule="points", odi_rule_percent=15) == 0


@pytest.mark.parametrize(
    ("vas", "odi", "expected"),
    [
        (1, 1, 1), (1, 0, 1), (1, NAN, 1), (0, 1, 1), (NAN, 1, 1), (0, 0, 0), (0, NAN, NAN), (NAN, 0, NAN),
        (NAN, NAN, NAN),
    ],
)  # fmt: skip
def test_responder_is_three_valued(vas: float, odi: float, expected: float) -> None:
    after = {1: 10.0, 0: 60.0}
    result = response_from_values(60.0, after.get(vas, NAN), 60.0, after.get(odi, NAN), DEFAULT)
    np.testing.assert_equal([float(result.vas), float(result.odi)], [float(vas), float(odi)])
    np.testing.assert_equal(float(result.response), float(expected))


def test_rescue_is_no_response_whether_known_or_not() -> None:
    rescued = [True, True, False]
    vas = [10, NAN, 10]
    result = response_from_values(60, vas, 60, vas, DEFAULT, rescued)
    np.testing.assert_array_equal(result.response, [0, 0, 1])
    ignored = response_from_values(60, vas, 60, vas, Parameters(rescue="ignored"), rescued)
    np.testing.assert_array_equal(ignored.response, [1, NAN, 1])


def test_any_leading_shape() -> None:
    rng = np.random.default_rng(0)
    vas, odi = rng.uniform(-10, 110, (2, 4, 3, 5))
    base = rng.uniform(0, 100, (3, 5))
    whole = response_from_values(base, vas, base, odi, DEFAULT)
    assert whole.response.shape == (4, 3, 5)
    for i in range(4):
        one = response_from_values(base, vas[i], base, odi[i], DEFAULT)
        np.testing.assert_array_equal(whole.response[i], one.response)


# From a trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return load_trial(tiny_trial(tmp_path_factory.mktemp("trial")))


def at(frame: pd.DataFrame, subject: str, month: int) -> pd.Series:
    return frame.set_index(["USUBJID", "AVISITN"]).loc[subject, month]


def test_one_row_a_participant_and_visit(trial: Trial) -> None:
    frame = responses(trial, DEFAULT)
    assert len(frame) == 14 * len(POST_BASELINE)
    assert list(frame.columns) == [
        "USUBJID", "ARM", "AVISITN", "VAS_RESPONSE", "ODI_RESPONSE", "RESPONSE", "RESCUED",
    ]  # fmt: skip
    assert str(frame.RESPONSE.dtype) == "boolean"
    assert frame.RESCUED.dtype == bool
    assert list(frame.ARM.cat.categories) == ["treatment", "control"]


def test_rows_agree_with_values(trial: Trial) -> None:
    frame = responses(trial, Parameters(rescue="ignored")).set_index(["USUBJID", "AVISITN"])
    for month in POST_BASELINE:
        vas, odi = trial.values("VASPAIN", month), trial.values("ODI", month)
        expected = response_from_values(trial.adsl.VASBL, vas, trial.adsl.ODIBL, odi, DEFAULT).response
        for subject, value in zip(trial.adsl.index, expected, strict=True):
            if trial.adsl.ITT[subject]:
                stored = frame.RESPONSE[subject, month]
                np.testing.assert_equal(NAN if stored is pd.NA else float(stored), value)


def test_rescued_from_the_day_of_the_visit_on(trial: Trial) -> None:
    # T-003: spinal injection on day 150; T-004: surgery on day 400; T-007: spinal injection never.
    frame = responses(trial, DEFAULT)
    assert [at(frame, "T-003", m).RESCUED for m in POST_BASELINE] == [False, False, True, True, True]
    assert [at(frame, "T-004", m).RESCUED for m in POST_BASELINE] == [False, False, False, False, True]
    assert not frame[frame.USUBJID == "T-005"].RESCUED.any()  # an opioid user's opioid is no rescue
    rescued = frame[frame.RESCUED]
    assert (rescued[["VAS_RESPONSE", "ODI_RESPONSE", "RESPONSE"]] == False).all(axis=None)  # noqa: E712


def test_rescue_on_the_day_of_the_visit_precedes_it(tmp_path: Path) -> None:
    row = row_of(ADQS, USUBJID="T-003", PARAMCD="VASPAIN", AVISITN="6")
    odi = row_of(ADQS, USUBJID="T-003", PARAMCD="ODI", AVISITN="6")
    on_day_161 = put(odi, ADY="161")(put(row, ADY="161")(ADQS))
    for day, expected in (("160", True), ("161", True), ("162", False)):
        folder = tiny_trial(
            tmp_path / day,
            adqs=on_day_161,
            adcm=put(row_of(tiny_tables()["adcm"], USUBJID="T-003"), ASTDY=day),
        )
        assert bool(at(responses(load_trial(folder), DEFAULT), "T-003", 6).RESCUED) is expected


def test_a_missed_visit_after_rescue_is_no_response(tmp_path: Path) -> None:
    gone = lambda t: t[~((t.USUBJID == "T-003") & (t.AVISITN == "12"))]  # noqa: E731
    missed = load_trial(tiny_trial(tmp_path, adqs=gone))
    row = at(responses(missed, DEFAULT), "T-003", 12)
    assert row.RESCUED
    assert not row.RESPONSE
    assert at(responses(missed, Parameters(rescue="ignored")), "T-003", 12).RESPONSE is pd.NA


def course(tmp_path: Path, vas: dict[int, str]) -> Trial:
    """A trial in which T-001 has these VAS values (baseline 80) and no ODI after baseline."""

    def change(t: pd.DataFrame) -> pd.DataFrame:
        t = t[~((t.USUBJID == "T-001") & (t.PARAMCD == "ODI") & (t.AVISITN != "0"))].reset_index(drop=True)
        for month in (0, *POST_BASELINE):
            row = row_of(t, USUBJID="T-001", PARAMCD="VASPAIN", AVISITN=str(month))
            t = put(row, AVAL=vas.get(month, "") if month else "80")(t)
        # With ODI unknown, a VAS non-response would be unknown too: give ODI at the visits that are known.
        known = pd.DataFrame(
            [{"USUBJID": "T-001", "PARAMCD": "ODI", "AVISITN": str(m), "ADY": "", "AVAL": "100"} for m in vas]
        )
        return pd.concat([t, known], ignore_index=True)

    return load_trial(tiny_trial(tmp_path, adqs=change))


@pytest.mark.parametrize(
    ("vas", "months", "event", "lower"),
    [
        ({1: "70", 3: "40", 6: "80", 12: "80", 24: "80"}, 3, True, 1),
        ({1: "70", 6: "40"}, 6, True, 1),  # month 3 is unknown: the response came after month 1
        ({1: "70", 3: "70", 12: "70"}, 12, False, 12),
        ({6: "40"}, 6, True, 0),
        ({}, 0, False, 0),
    ],
)
def test_time_to_first_response(tmp_path: Path, vas: dict[int, str], months: float, event: bool, lower: float) -> None:
    row = time_to_first_response(course(tmp_path, vas), DEFAULT).loc["T-001"]
    assert row[["MONTHS", "EVENT", "LOWER"]].to_list() == [months, event, lower]


def test_time_to_first_response_with_rescue(tmp_path: Path) -> None:
    trial = course(tmp_path, {1: "70", 6: "40", 12: "40"})
    rescue = pd.DataFrame(
        [{"USUBJID": "T-001", "CMSEQ": "9", "CMDECOD": "x", "CMCAT": "SURGERY", "ASTDY": "100", "AENDY": ""}]
    )
    folder = tiny_trial(
        tmp_path / "rescued",
        adqs=pd.read_csv(tmp_path / "adqs.csv", dtype=str, keep_default_na=False),
        adcm=lambda t: pd.concat([t, rescue]),
    )
    assert time_to_first_response(trial, DEFAULT).loc["T-001", "MONTHS"] == 6
    row = time_to_first_response(load_trial(folder), DEFAULT).loc["T-001"]
    # Months 3 and 24 were missed: rescue does not make them known.
    assert (row.MONTHS, row.EVENT) == (12, False)
    row = time_to_first_response(load_trial(folder), Parameters(rescue="ignored")).loc["T-001"]
    assert (row.MONTHS, row.EVENT) == (6, True)


def test_only_the_rules_and_rescue_are_taken_from_the_parameters(trial: Trial) -> None:
    class Taken:
        vas_rule_mm, vas_rule_percent, odi_rule_percent, odi_rule, rescue = 20, 20, 20, "relative", "non_responder"

    pd.testing.assert_frame_equal(responses(trial, Taken()), responses(trial, DEFAULT))  # type: ignore[arg-type]
    times = time_to_first_response(trial, Taken())  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(times, time_to_first_response(trial, DEFAULT))


def test_time_to_rescue(trial: Trial, tmp_path: Path) -> None:
    frame = time_to_rescue(trial)
    assert frame.loc["T-003", "MONTHS"] == pytest.approx(150 / 30.4375, rel=1e-15)
    assert frame.loc["T-003", "EVENT"]
    assert frame.loc["T-007", "MONTHS"] == pytest.approx(190 / 30.4375, rel=1e-15)
    assert frame.EVENT.sum() == 2
    untreated = tiny_trial(tmp_path / "a", adsl=put(2, TRT01A="", TRTSDT="", EOSDY=""))
    assert "T-001" not in time_to_rescue(load_trial(untreated)).index
    left_before = tiny_trial(tmp_path / "b", adsl=put(4, EOSDY="149"))
    row = time_to_rescue(load_trial(left_before)).loc["T-003"]
    assert (row.MONTHS, row.EVENT) == (149 / 30.4375, False)
