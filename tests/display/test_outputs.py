"""Drawings: the same bytes wherever they are drawn."""

from __future__ import annotations

import re

import matplotlib as mpl
import pandas as pd

from respine.display.outputs import _rounded, figure

mpl.use("agg")


def drawing(width: float) -> str:
    import matplotlib.pyplot as plt

    plot = plt.figure(layout="none")
    plot.add_axes((0.1, 0.1, width, 0.8)).plot([0, 1], [0, 1], marker="o")
    return figure(plot, label="fig-x", caption="A line.", alt="A line.", data=pd.DataFrame({"x": [width]})).svg


def test_a_last_digit_that_is_summed_otherwise_changes_no_byte() -> None:
    # Python 3.12 adds floats in another way than 3.11; what is drawn is the same to a millionth of a point.
    assert drawing(0.3) == drawing(0.3 + 1e-12)


def test_coordinates_that_two_processors_write_otherwise_are_rounded_to_the_same() -> None:
    # Seen: 133.5396875 up to the last bit, which one processor writes as ...687 and another as ...688.
    one, other = '<path d="M 133.539687 163.9995 L -0.001 4"/>', '<path d="M 133.539688 163.9995 L -0.001 4"/>'
    assert _rounded(one) == _rounded(other) == '<path d="M 133.54 164 L 0 4"/>'
    # A tie of the second digit is none between processors: their sixth digits agree.
    assert _rounded('<use x="0.125000" y="0.375000"/>') == '<use x="0.12" y="0.38"/>'


def test_factors_styles_and_texts_are_not_rounded() -> None:
    svg = '<!-- 0.1234 --><g transform="translate(1.2345 0) scale(0.015625)" style="opacity: 0.3333"/>'
    assert _rounded(svg) == svg.replace("1.2345", "1.23")


def test_ids_are_counted_and_every_reference_is_kept() -> None:
    svg = drawing(0.3)
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert not [id for id in ids if re.search(r"[0-9a-f]{10}$", id)]
    references = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    assert references
    assert references <= set(ids)
