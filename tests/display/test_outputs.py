"""Drawings: the same bytes wherever they are drawn."""

from __future__ import annotations

import re

import matplotlib as mpl
import pandas as pd

from respine.display.outputs import figure

mpl.use("agg")


def drawing(width: float) -> str:
    import matplotlib.pyplot as plt

    plot = plt.figure(layout="none")
    plot.add_axes((0.1, 0.1, width, 0.8)).plot([0, 1], [0, 1], marker="o")
    return figure(plot, label="fig-x", caption="A line.", alt="A line.", data=pd.DataFrame({"x": [width]})).svg


def test_a_last_digit_that_is_summed_otherwise_changes_no_byte() -> None:
    # Python 3.12 adds floats in another way than 3.11; what is drawn is the same to a millionth of a point.
    assert drawing(0.3) == drawing(0.3 + 1e-12)


def test_ids_are_counted_and_every_reference_is_kept() -> None:
    svg = drawing(0.3)
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert not [id for id in ids if re.search(r"[0-9a-f]{10}$", id)]
    references = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    assert references
    assert references <= set(ids)
