"""One look for every figure: a colour, a marker and a line style for each arm; ink that follows the page's theme."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR: Mapping[str, str] = MappingProxyType({"treatment": "#0072B2", "control": "#D55E00"})
"""Okabe-Ito blue and vermilion: told apart by every kind of colour vision."""
MARKER: Mapping[str, str] = MappingProxyType({"treatment": "o", "control": "s"})
LINE: Mapping[str, str] = MappingProxyType({"treatment": "-", "control": (0, (4, 1.5))})  # type: ignore[dict-item]
INK = "#000000"
"""Texts and axes; the book draws pure black in the colour of the page's text."""
GREY = "#767676"
"""Reference lines and secondary marks: the same contrast on white and on black."""
TEXT_WIDTH = 6.3
"""Width of the text column in inches."""


@cache
def _register_fonts() -> None:
    import font_source_sans_pro
    from matplotlib import font_manager

    folder = Path(font_source_sans_pro.__file__).parent / "files"
    for weight in ("Regular", "It", "Semibold", "Bold"):
        font_manager.fontManager.addfont(folder / f"SourceSansPro-{weight}.ttf")


def set_style() -> None:
    """Set seaborn's theme and the house's sizes; called by every figure function before it draws."""
    import seaborn as sns

    _register_fonts()
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={
            "font.family": "Source Sans Pro",
            "font.size": 9,
            "axes.labelsize": 9,
            "axes.titlesize": 9,
            "axes.titleweight": "semibold",
            "axes.titlelocation": "left",
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.linewidth": 0.7,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.4,
            "lines.markersize": 5,
            "axes.unicode_minus": True,
            # A label from the data may hold dollar signs.
            "text.parse_math": False,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
        },
    )


def canvas(height: float, *, columns: int = 1, rows: int = 1, **options: object) -> tuple[Figure, list[Axes]]:
    """A figure of the text's width with a flat list of axes, in the house style."""
    import matplotlib.pyplot as plt
    import numpy as np

    set_style()
    drawing, axes = plt.subplots(rows, columns, figsize=(TEXT_WIDTH, height), squeeze=False, **options)
    return drawing, list(np.ravel(axes))


def short(label: str, width: int = 28) -> str:
    """An arm's label as a figure can hold it, cut between words where they allow; captions and tables give it whole."""
    if len(label) <= width:
        return label
    cut = label[: width - 1]
    words = cut.rpartition(" ")[0]
    return (words if len(words) >= width // 2 else cut).rstrip() + "…"


def broken(label: str, width: int = 20) -> str:
    """An arm's label as it stands beside a line: whole if two lines hold it, these as even as they can be."""
    lines = textwrap.wrap(label, width) or [label]
    if len(lines) > 2:
        return "\n".join([lines[0], short(" ".join(lines[1:]), width)])
    even = (textwrap.wrap(label, narrower, break_long_words=False) for narrower in range(1, width + 1))
    return "\n".join(next((found for found in even if len(found) == len(lines)), lines))


def sides(ax: Axes, left: str, right: str, *, null: float = 0.0) -> int:
    """Say above the axis what lies on either side of the line of no difference; returns the lines that it takes."""
    texts = broken(f"← {left}", 30), broken(f"{right} →", 30)
    for text, offset, align in zip(texts, (-4, 4), ("right", "left"), strict=True):
        ax.annotate(
            text, (null, 1), xycoords=("data", "axes fraction"), xytext=(offset, 2), textcoords="offset points",
            ha=align, va="bottom", fontsize=8, linespacing=1.1, color=GREY, annotation_clip=False,
        )  # fmt: skip
    return max(text.count("\n") + 1 for text in texts)


def better(ax: Axes, *, lower_is_better: bool, along: str = "y") -> None:
    """Point out with an arrow, outside the axis, which way is better."""
    forward, backward = ("↑", "↓") if along == "y" else ("→", "←")
    arrow = backward if lower_is_better else forward
    text = f"{arrow} better" if arrow in "↑↓←" else f"better {arrow}"
    if along == "y":
        ax.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(3, 2), textcoords="offset points", color=GREY, fontsize=8
        )
    else:
        x, align = (0.0, "left") if lower_is_better else (1.0, "right")
        ax.annotate(
            text,
            (x, 1),
            xycoords="axes fraction",
            xytext=(0, 2),
            textcoords="offset points",
            ha=align,
            color=GREY,
            fontsize=8,
        )
