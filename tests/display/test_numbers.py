from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respine.display.numbers import (
    MINUS,
    NBSP,
    PARTS,
    format_ci,
    format_level,
    format_number,
    format_p,
    format_percent,
    format_points,
    format_result,
)
from respine.results import Result, not_estimable

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


def result(**fields: object) -> Result:
    return Result(**({"id": "a.b", "statistic": "mean", "value": 1.0} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2.675, 2, "2.68"), (-2.675, 2, "−2.68"), (0.5, 0, "1"), (1.5, 0, "2"), (2.5, 0, "3"), (-0.5, 0, "−1"),
        (-0.04, 1, "0.0"), (0.05, 1, "0.1"), (9999, 0, "9999"), (10_000, 0, "10,000"), (-12345.67, 1, "−12,345.7"),
        (57.64999999999999, 1, "57.7"), (57.6499999, 1, "57.6"),
        (123_456_789_012_345, 0, "123,456,789,012,345"),
        (1e-7, 2, "0.00"), (1e300, 0, f"{10**300:,}"), (math.nan, 1, "not estimable"),
    ],
)  # fmt: skip
def test_numbers_round_half_away_from_zero(value: float, digits: int, text: str) -> None:
    assert format_number(value, digits) == text


@settings(deadline=None, derandomize=True, max_examples=200)
@given(finite, st.integers(0, 4))
def test_a_printed_number_is_within_half_a_unit_of_the_value(value: float, digits: int) -> None:
    printed = Decimal(format_number(value, digits).replace(MINUS, "-").replace(",", ""))
    within = Decimal(1).scaleb(-digits) / 2 + abs(Decimal(repr(value))) * Decimal("1e-11")
    assert abs(printed - Decimal(repr(value))) <= within
    assert not format_number(value, digits).startswith(f"{MINUS}0" + "." * bool(digits) + "0" * digits + " ")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(finite, st.integers(0, 4))
def test_sign_is_symmetric(value: float, digits: int) -> None:
    positive = format_number(abs(value), digits)
    negative = format_number(-abs(value), digits)
    assert negative.removeprefix(MINUS) == positive
    assert negative.startswith(MINUS) == any(ch in "123456789" for ch in positive)


@pytest.mark.parametrize(
    ("value", "n", "text"),
    [(37 / 50, 50, "74%"), (34 / 49, 49, "69%"), (0.285, 99, "29%"), (0.285, 100, "28.5%"), (1.0, 7, "100%"),
     (0.125, None, "12.5%")],
)  # fmt: skip
def test_percentages_have_a_decimal_from_100_on(value: float, n: int | None, text: str) -> None:
    assert format_percent(value, n) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, ">0.99"), (0.995, ">0.99"), (0.9949, "0.99"), (0.7747, "0.77"), (0.1, "0.10"), (0.0999, "0.100"),
        (0.0495, "0.050"), (0.03, "0.030"), (0.001, "0.001"), (0.00099, "<0.001"), (0.0, "<0.001"),
    ],
)  # fmt: skip
def test_p_values(p: float, text: str) -> None:
    assert format_p(p) == text


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.floats(0, 1))
def test_no_p_value_is_printed_as_zero_or_one(p: float) -> None:
    assert float(format_p(p).lstrip("<>")) > 0
    assert float(format_p(p).lstrip("<>")) < 1


def test_a_p_value_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        format_p(1.2)


def test_intervals_and_levels() -> None:
    assert format_ci(-11.42, 21.68, 1) == "−11.4 to 21.7"
    assert format_ci(math.nan, math.nan, 1) == "not estimable"
    assert format_ci(1.0, math.nan, 1) == "1.0 to not estimable"
    assert (format_level(0.95), format_level(0.975), format_level(1 - 0.05)) == ("95%", "97.5%", "95%")
    assert format_points(-0.0314) == "−3.1"


def test_a_risk_difference_is_in_percentage_points() -> None:
    rd = result(
        statistic="risk difference", value=0.0461, lower=-0.1322, upper=0.2221, level=0.95, p=0.7747, n=99,
        unit="proportion", arm="difference",
    )  # fmt: skip
    assert format_result(rd) == f"4.6{NBSP}percentage points"
    assert format_result(rd, "ci") == "−13.2 to 22.2"
    assert format_result(rd, "p") == f"p{NBSP}={NBSP}0.77"
    assert format_result(rd, "full") == (f"4.6{NBSP}percentage points (95%{NBSP}CI −13.2 to 22.2; p{NBSP}={NBSP}0.77)")


def test_a_proportion_is_a_percentage_of_whole_participants() -> None:
    rate = result(statistic="proportion", value=37 / 50, lower=0.597, upper=0.854, level=0.95, n=50, unit="proportion")
    assert format_result(rate) == "74%"
    assert format_result(rate, "ci") == "60% to 85%"
    assert format_result(rate, "count") == "37"
    assert format_result(rate, "fraction") == "37 of 50 (74%)"
    with pytest.raises(ValueError, match="whole number"):
        format_result(rate.replace(value=0.7451), "count")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"value": -3.05, "unit": "mm"}, f"−3.1{NBSP}mm"),
        ({"value": 12.0, "statistic": "count"}, "12"),
        ({"value": 0.805, "statistic": "hazard ratio"}, "0.81"),
        ({"value": 0.805, "statistic": "standardised mean difference"}, "0.81"),
        ({"value": -21.35, "unit": "percent"}, "−21.4%"),
        ({"value": 3.14159, "unit": "mm", "digits": 3}, f"3.142{NBSP}mm"),
        ({"value": 0.0004, "statistic": "p-value"}, "<0.001"),
    ],
)
def test_digits_follow_statistic_and_unit(fields: dict[str, object], text: str) -> None:
    assert format_result(result(**fields)) == text


def test_what_is_not_estimable_says_so_in_every_part() -> None:
    missing = not_estimable("mean difference", "no participant with data", unit="ms")
    row = Result(id="a.b", **{f: getattr(missing, f) for f in ("statistic", "value", "note", "unit")})
    assert format_result(row) == "not estimable"
    assert format_result(row, "full") == "not estimable: no participant with data"
    for part in PARTS:
        assert "nan" not in format_result(row, part)


def test_unknown_parts_and_statements_are_refused() -> None:
    with pytest.raises(ValueError, match="there are value, number, ci"):
        format_result(result(), "confidence")
    statement = Result(id="a.b", statistic="statement", value=math.nan, note="statement", text="It is.")
    with pytest.raises(ValueError, match="statement role"):
        format_result(statement)
