"""Sentences chosen by results: what may be said of a difference, and of a verdict.

A sentence names its numbers as ``{id}`` or ``{id|part}``; the book prints them in their format and links each to the
cell that made it. Every branch is a plain function of results, so that no sentence outlives the data it was true for.
"""

from __future__ import annotations

from collections.abc import Sequence

from respine.results import Estimate, Result


def literal(text: str) -> str:
    """Text from the data, safe inside a sentence: its braces are doubled, so that they name no result."""
    return text.replace("{", "{{").replace("}", "}}")


def tested(result: Estimate) -> bool:
    """Whether there is a p-value to judge by: a difference without a standard error is an estimate, but no test."""
    return result.p == result.p


def differs(result: Estimate, alpha: float) -> bool:
    """Whether the two-sided test rejects no difference at ``alpha``; never where there is no p-value."""
    return result.p <= alpha


def favours_treatment(result: Estimate, *, higher_is_better: bool) -> bool:
    """Whether the estimate lies on the treatment's side of no difference."""
    return result.value > 0 if higher_is_better else result.value < 0


def succeeded(result: Estimate, alpha: float, *, higher_is_better: bool) -> bool:
    """Whether the endpoint was reached: a difference at ``alpha``, in the treatment's favour."""
    return differs(result, alpha) and favours_treatment(result, higher_is_better=higher_is_better)


def verdict(result: Result, endpoint: str, alpha: float, control: str, *, higher_is_better: bool) -> str:
    """``... was reached``, ``... was not reached`` or ``... could not be assessed``, as a whole sentence.

    ``control`` is what the sentence calls the control arm, where the difference favours it.
    """
    if not tested(result):
        return f"{endpoint} could not be assessed."
    if succeeded(result, alpha, higher_is_better=higher_is_better):
        return f"{endpoint} was reached."
    if differs(result, alpha):
        return f"{endpoint} was not reached: the difference favoured {control}."
    return f"{endpoint} was not reached."


def difference(result: Result, what: str) -> str:
    """``the <what> was <value> (<interval>; <p>)``, or why there is none."""
    if not result.estimable:
        return f"the {what} was {literal(result.note)}"
    return f"the {what} was {{{result.id}|full}}"


def excluded(result: Result, what: str, *, higher_is_better: bool) -> str:
    """What the interval rules out on the treatment's side, which says more than the absence of a difference."""
    if not result.estimable or result.lower != result.lower or result.upper != result.upper:
        return f"No interval for the {what} could be computed."
    near, far = ("lower", "upper") if higher_is_better else ("upper", "lower")
    sign = 1 if higher_is_better else -1
    least, most = (sign * getattr(result, name) for name in (near, far))
    if most <= 0:
        return f"The interval for the {what} excludes any benefit of the treatment."
    # A benefit is named by its size: one of 4 mm, not of −4 mm, where lower is better.
    size = "" if higher_is_better else "_size"
    ends = [f"smaller than {{{result.id}|{near}{size}}}"] if least > 0 else []
    if result.unit != "proportion" or most < 1:
        ends.append(f"larger than {{{result.id}|{far}{size}}}")
    benefits = f"benefits {listed(ends)}{_unit_words(result)}" if ends else "no benefit, however large"
    return f"The interval for the {what} excludes {benefits}."


def _unit_words(result: Result) -> str:
    if result.unit == "proportion":
        return " percentage points"
    return f" {result.unit}" if result.unit else ""


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """``no participant``, ``one participant``, ``12 participants``: the noun agrees with the number."""
    many = many or one + "s"
    return f"no {one}" if n == 0 else f"one {one}" if n == 1 else f"{n} {many}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
