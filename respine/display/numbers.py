"""Numbers in print: rounding, signs, units, intervals and p-values by the house rules.

Everything is rounded half away from zero, from the stored number as twelve digits name it: 0.285 is 28.5% and 2.675 is
2.68, as a reader of ``results.csv`` expects, and 57.65 is 57.7 also where a processor adds it up to 57.64999999999999.
Nothing here computes a statistic.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

from respine.results import Estimate, Result

MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
NOT_ESTIMABLE = "not estimable"
NOT_AVAILABLE = "not available"

# Words a reader sees for a stored unit; other units are printed as they are.
_UNIT_WORDS = {"percent": "%", "proportion": "%"}
_UNIT_DIGITS = {"mm": 1, "ms": 1, "points": 1, "score": 1, "percent": 1}
_RATIO = re.compile(r"\b(hazard|odds|risk|rate|RMST) ratio\b")
_STANDARDISED = re.compile(r"\b(standardi[sz]ed|Hedges|Cohen)", re.IGNORECASE)
_COUNT = re.compile(r"^(count|number of)\b")
_P_VALUE = re.compile(r"^p[- ]value\b")
_PROBABILITY = re.compile(r"^P\(")
_BAYES = re.compile(r"\b(posterior|credible|Bayes)", re.IGNORECASE)
_DIFFERENCE = re.compile(r"\bdifference\b")
# Enough for every finite float written out.
_EXACT = Context(prec=700)


def format_number(value: float, digits: int) -> str:
    """``value`` with ``digits`` decimals, half away from zero, a true minus sign, and commas from 10 000 on.

    >>> format_number(-3.05, 1), format_number(-0.04, 1), format_number(20_000_000, 0)
    ('−3.1', '0.0', '20,000,000')
    """
    if math.isnan(value):
        return NOT_ESTIMABLE
    return _print(_decimal(value), digits)


def format_percent(value: float, n: int | None = None, digits: int | None = None) -> str:
    """A proportion as a percentage: no decimals where ``n`` is under 100, one otherwise.

    >>> format_percent(37 / 50, 50), format_percent(0.285, 400)
    ('74%', '28.5%')
    """
    if math.isnan(value):
        return NOT_ESTIMABLE
    return _hundredfold(value, _percent_digits(n) if digits is None else digits) + "%"


def format_points(value: float, digits: int = 1) -> str:
    """A difference of proportions in percentage points, without the unit.

    >>> format_points(-0.0314)
    '−3.1'
    """
    return NOT_ESTIMABLE if math.isnan(value) else _hundredfold(value, digits)


def format_p(p: float) -> str:
    """A p-value: two decimals from 0.10, three below, ``<0.001`` and ``>0.99`` at the ends.

    >>> [format_p(p) for p in (0.7747, 0.0312, 0.0004, 0.998)]
    ['0.77', '0.031', '<0.001', '>0.99']
    """
    if math.isnan(p):
        return NOT_ESTIMABLE
    if not 0 <= p <= 1:
        raise ValueError(f"p-value {p} is outside 0 to 1")
    if p < 0.001:
        return "<0.001"
    if p >= 0.995:
        return ">0.99"
    return format_number(p, 2 if p >= 0.1 else 3)


def format_probability(probability: float) -> str:
    """A posterior probability: two decimals, ``<0.01`` and ``>0.99`` at the ends.

    >>> [format_probability(p) for p in (0.209, 0.0001, 0.9999)]
    ['0.21', '<0.01', '>0.99']
    """
    if math.isnan(probability):
        return NOT_ESTIMABLE
    if probability < 0.005:
        return "<0.01"
    return ">0.99" if probability >= 0.995 else format_number(probability, 2)


def format_ci(lower: float, upper: float, digits: int) -> str:
    """An interval: ``−11.4 to 21.7``.

    >>> format_ci(-11.42, 21.68, 1)
    '−11.4 to 21.7'
    """
    if math.isnan(lower) and math.isnan(upper):
        return NOT_ESTIMABLE
    return f"{_limit(lower, digits)} to {_limit(upper, digits)}"


def format_level(level: float) -> str:
    """A confidence level: ``95%``, ``97.5%``."""
    percent = Decimal(repr(float(level))).scaleb(2).quantize(Decimal("1e-6")).normalize()
    return f"{percent:f}%"


def digits_of(result: Estimate) -> int:
    """Decimals in print: the result's own ``digits``, else the house rule for its statistic and unit."""
    own = getattr(result, "digits", None)
    if own is not None:
        return int(own)
    if result.unit == "proportion":
        return 1 if is_difference(result) else _percent_digits(result.n)
    if _COUNT.search(result.statistic):
        return 0
    if _RATIO.search(result.statistic) or _STANDARDISED.search(result.statistic):
        return 2
    if result.unit in _UNIT_DIGITS:
        return _UNIT_DIGITS[result.unit]
    return 1 if result.unit else 2


def is_difference(result: Estimate) -> bool:
    """Whether a proportion is a difference of two, printed in percentage points."""
    if _PROBABILITY.search(result.statistic):
        return False
    return bool(_DIFFERENCE.search(result.statistic)) or getattr(result, "arm", "") == "difference"


def format_result(result: Result, part: str = "value") -> str:
    """One part of a result in print.

    Parameters
    ----------
    result
        The result; a statement has no number and is refused.
    part
        ``value`` (with its unit), ``number`` (without), ``ci``, ``lower``, ``upper``, ``lower_size`` and ``upper_size``
        (a limit without its sign), ``p`` (``p = 0.77``), ``full`` (value, interval, p), ``n``, ``n_treatment``,
        ``n_control``, ``count`` (participants behind a proportion), ``fraction`` (``37 of 50 (74%)``), ``se``, ``df``,
        ``level``, ``method``, ``set``, ``statistic`` or ``note``.

    Raises
    ------
    ValueError
        For a part that does not exist, or that a result of this kind cannot have.
    """
    if result.statistic == "statement":
        raise ValueError(f"{result.id!r} is a statement, not a number: use the statement role")
    try:
        formatter = _PARTS[part]
    except KeyError:
        raise ValueError(f"{result.id!r} has no part {part!r}; there are {', '.join(PARTS)}") from None
    return formatter(result)


def _value(result: Result) -> str:
    number = _number(result)
    if not result.estimable or _P_VALUE.search(result.statistic) or _PROBABILITY.search(result.statistic):
        return number
    return number + unit_suffix(result)


def unit_suffix(result: Estimate) -> str:
    """What follows the number: ``%``, or a no-break space and the unit."""
    if result.unit == "proportion" and is_difference(result):
        return f"{NBSP}percentage points"
    if not result.unit:
        return ""
    word = _UNIT_WORDS.get(result.unit, result.unit)
    return word if word == "%" else NBSP + word


def _number(result: Result) -> str:
    if _P_VALUE.search(result.statistic):
        return format_p(result.value)
    if _PROBABILITY.search(result.statistic):
        return format_probability(result.value)
    return NOT_ESTIMABLE if not result.estimable else _scaled(result, result.value)


def _scaled(result: Estimate, value: float) -> str:
    digits = digits_of(result)
    return _hundredfold(value, digits) if result.unit == "proportion" else format_number(value, digits)


def _one_limit(result: Result, value: float) -> str:
    if math.isnan(value):
        return NOT_ESTIMABLE
    percent = "%" if result.unit in _UNIT_WORDS and not is_difference(result) else ""
    return _scaled(result, value) + percent


def _ci(result: Result) -> str:
    if math.isnan(result.lower) and math.isnan(result.upper):
        return NOT_ESTIMABLE
    return f"{_one_limit(result, result.lower)} to {_one_limit(result, result.upper)}"


def _p(result: Result) -> str:
    p = result.value if _P_VALUE.search(result.statistic) else result.p
    if math.isnan(p):
        return f"p{NBSP}{NOT_ESTIMABLE}"
    text = format_p(p)
    sign = text[0] if text[0] in "<>" else "="
    return f"p{NBSP}{sign}{NBSP}{text.lstrip('<>')}"


def _full(result: Result) -> str:
    if not result.estimable:
        return result.note
    inside = []
    if not math.isnan(result.lower) or not math.isnan(result.upper):
        name = "CrI" if _BAYES.search(f"{result.statistic} {result.method}") else "CI"
        level = "" if math.isnan(result.level) else format_level(result.level) + NBSP
        inside.append(f"{level}{name} {_ci(result)}")
    if not math.isnan(result.p):
        inside.append(_p(result))
    return _value(result) + (f" ({'; '.join(inside)})" if inside else "")


def _count(result: Result) -> str:
    if _COUNT.search(result.statistic):
        return _number(result)
    if not result.estimable:
        return NOT_ESTIMABLE
    if result.unit != "proportion" or is_difference(result) or result.n is None:
        raise ValueError(f"{result.id!r} is not a proportion of n participants: it has no count")
    count = result.value * result.n
    if abs(count - round(count)) > 1e-6:
        raise ValueError(f"{result.id!r} stands for {count:g} participants, which is not a whole number")
    return format_number(round(count), 0)


def _fraction(result: Result) -> str:
    if not result.estimable:
        return NOT_ESTIMABLE
    return f"{_count(result)} of {_whole(result.n)} ({_value(result)})"


def _whole(value: int | None) -> str:
    return NOT_AVAILABLE if value is None else format_number(value, 0)


def _decimals(value: float, digits: int) -> str:
    return NOT_AVAILABLE if math.isnan(value) else format_number(value, digits)


def _se(result: Result) -> str:
    if math.isnan(result.se):
        return NOT_AVAILABLE
    return _scaled(result, result.se)


_PARTS: dict[str, Callable[[Result], str]] = {
    "value": _value,
    "number": _number,
    "ci": _ci,
    "lower": lambda r: _one_limit(r, r.lower),
    "upper": lambda r: _one_limit(r, r.upper),
    "lower_size": lambda r: _one_limit(r, abs(r.lower)),
    "upper_size": lambda r: _one_limit(r, abs(r.upper)),
    "p": _p,
    "full": _full,
    "n": lambda r: _whole(r.n),
    "n_treatment": lambda r: _whole(r.n_treatment),
    "n_control": lambda r: _whole(r.n_control),
    "count": _count,
    "fraction": _fraction,
    "se": _se,
    "df": lambda r: _decimals(r.df, 0 if float(r.df).is_integer() else 1),
    "level": lambda r: NOT_AVAILABLE if math.isnan(r.level) else format_level(r.level),
    "method": lambda r: r.method or NOT_AVAILABLE,
    "set": lambda r: r.set or NOT_AVAILABLE,
    "statistic": lambda r: r.statistic,
    "note": lambda r: r.note,
}

PARTS = tuple(_PARTS)
"""The parts :func:`format_result` knows."""


def _percent_digits(n: int | None) -> int:
    return 0 if n is not None and n < 100 else 1


def _decimal(value: float) -> Decimal:
    # A whole number of any length is exact already.
    return Decimal(repr(float(value)) if float(value).is_integer() else f"{value:.12g}")


def _hundredfold(value: float, digits: int) -> str:
    # In decimal: 0.285 * 100 is 28.499999999999996 in binary.
    return _print(_decimal(value).scaleb(2), digits)


def _limit(value: float, digits: int) -> str:
    return NOT_ESTIMABLE if math.isnan(value) else format_number(value, digits)


def _print(number: Decimal, digits: int) -> str:
    rounded = number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP, context=_EXACT)
    text = f"{abs(rounded):,.{digits}f}" if abs(rounded) >= 10_000 else f"{abs(rounded):.{digits}f}"
    return MINUS + text if rounded < 0 else text
