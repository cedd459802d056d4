"""Figures of the committed chapters, and of arms with long names: nothing is drawn outside the picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from respine.analyses.study import Arms
from respine.display.figures import ForestRow, Series, forest, n_under_axis, over_time
from respine.display.outputs import figure
from respine.display.style import broken, canvas, short, sides
from respine.results import Estimate, Result, Results

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
SVG = "{http://www.w3.org/2000/svg}"
LONG = Arms("Adipose-derived mesenchymal stromal cells, 20 million", "Placebo injection of saline, volume-matched")


def drawings() -> dict[str, str]:
    found = {}
    for path in CHAPTERS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                own = output.get("metadata", {}).get("respine", {})
                if own.get("kind") == "figure":
                    found[own["label"]] = "".join(output["data"]["image/svg+xml"])
    return found


def outside(svg: str) -> list[str]:
    """Texts that start or end outside the drawing: matplotlib moves, scales and turns each, glyph after glyph."""
    root = etree.fromstring(svg.encode())
    _, _, width, height = map(float, root.get("viewBox").split())
    wrong = []
    for group in root.iter(f"{SVG}g"):
        moved = re.match(
            r"translate\(([-\d.]+) ([-\d.]+)\)(?: rotate\(([-\d.]+)\))? scale\(([\d.]+)", group.get("transform", "")
        )
        glyphs = group.findall(f"{SVG}use")
        if moved is None or not glyphs:
            continue
        x, y, turned, scale = (float(part or 0) for part in moved.groups())
        last = re.match(r"translate\(([-\d.]+)", glyphs[-1].get("transform", ""))
        length = (float(last[1]) if last else 0.0) * scale
        ends = [(x, y), (x, y - length) if turned else (x + length, y)]
        if any(not (-0.5 <= a <= width + 0.5 and -0.5 <= b <= height + 0.5) for a, b in ends):
            wrong.append(f"{ends} outside {width} x {height}")
    return wrong


def estimate(id: str, value: float, **more: Any) -> Result:
    rows = Results()
    made = Estimate(
        statistic="risk difference", value=value, lower=value - 0.2, upper=value + 0.2, level=0.95, unit="proportion"
    )
    rows.add(id, made, **more)
    return rows[id]


@pytest.mark.parametrize("label", sorted(drawings()))
def test_no_text_of_a_committed_figure_is_outside_it(label: str) -> None:
    assert not outside(drawings()[label])


def test_long_names_of_arms_stay_inside() -> None:
    rows = [
        ForestRow("A method with a name of some length", estimate(f"x.{k}", 0.1 * k), n="114 and 112") for k in range(3)
    ]
    made = forest(rows, label="fig-x", caption="x", alt="x", xlabel="points", arms=LONG, scale=100)
    assert not outside(made.svg)


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    drawing, (ax,) = canvas(1.8)
    series = [
        Series(role, LONG[role], [estimate(f"x.{role}.{m}", 0.1, arm=role, visit=float(m)) for m in (1, 3, 6)])
        for role in ("treatment", "control")
    ]
    over_time(ax, series, months=(1, 3, 6), ylabel="points", scale=100)
    n_under_axis(ax, series, months=(1, 3, 6))
    drawing.canvas.draw()
    names = [text for text in ax.texts if text.get_text().startswith(("Adipose-derived\n", "Placebo injection"))]
    boxes = sorted(
        (text.get_window_extent() for text in names if text.get_fontweight() == "semibold"), key=lambda b: b.y0
    )
    assert len(boxes) == 2
    assert boxes[0].y1 <= boxes[1].y0 + 1
    import pandas as pd

    made = figure(drawing, label="fig-y", caption="y", alt="y", data=pd.DataFrame())
    assert not outside(made.svg)


def test_names_are_cut_between_words_and_broken_evenly() -> None:
    assert short("Saline placebo injection", 18) == "Saline placebo…"
    assert short("Rexlemestrocel-L", 18) == "Rexlemestrocel-L"
    assert short("x" * 30, 18) == "x" * 17 + "…"
    assert broken("Rexlemestrocel-L 6 million cells") == "Rexlemestrocel-L\n6 million cells"
    assert broken("Sham") == "Sham"


def test_the_sides_of_no_difference_name_long_arms_whole_in_two_lines() -> None:
    _, (ax,) = canvas(1.5)
    assert sides(ax, "favours Saline placebo injection", "favours Rexlemestrocel-L 6 million cells") == 2
    said = " ".join(text.get_text().replace("\n", " ") for text in ax.texts)
    assert "← favours Saline placebo injection" in said
    assert "favours Rexlemestrocel-L 6 million cells →" in said
