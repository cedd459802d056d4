"""Timings beside their anchors, and coverage by simulation: ``python -m benchmarks``.

Each module here with a function ``rows()`` is a part of the benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the benchmark.

    Parameters
    ----------
    what
        What was measured.
    value
        The project's figure, with its unit.
    anchor
        What it is compared with, measured in the same run.
    ratio
        Anchor over value: how many times faster.
    goal
        What was aimed for.
    """

    what: str
    value: str
    anchor: str = ""
    ratio: str = ""
    goal: str = ""


def seconds(call: Callable[[], object], repeat: int = 5) -> float:
    """The shortest of several runs, after one that is not counted."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def duration(value: float) -> str:
    """Seconds in print: ``12.3 ms``, ``4.56 s``."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def against(what: str, own: float, name: str, anchor: float | None, goal: str = "") -> Row:
    """A timing beside its anchor's, None where that could not be run."""
    if anchor is None:
        return Row(what, duration(own), f"{name}: not installed", "", goal)
    ratio = anchor / own
    return Row(what, duration(own), f"{name} {duration(anchor)}", f"{ratio:.{1 if ratio >= 1 else 2}f} x", goal)
