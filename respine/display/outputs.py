"""What a chapter publishes: tables, figures, results and the study, as notebook outputs.

The data part of an output is what a reader sees and nbval compares exactly; its metadata, under the key ``respine``,
carries captions, alternative texts, downloads and full-precision results to the book.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from respine.inert import csv_text
from respine.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from great_tables import GT
    from matplotlib.figure import Figure as MatplotlibFigure

    from respine.analyses.study import Study

METADATA_KEY = "respine"
_LABEL = re.compile(r"(tbl|fig)-[a-z0-9-]+")
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_NUMBER = re.compile(r"\d+")
# Coordinates, among what must stay as it is: comments, styles, factors.
_COORDINATE = re.compile(
    r'<!--.*?-->|\bstyle="[^"]*"|\b(?:scale|matrix|rotate)\([^)]*\)|(?P<number>-?\d+\.\d{3,})', re.DOTALL
)
_HASHED_ID = re.compile(r'\bid="(\w*[0-9a-f]{10})"')
FIGURE_SPACE, NO_BREAK_SPACE = "\u2007", "\u00a0"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its stub, its cells, the group it stands in and its indentation."""

    stub: str
    cells: tuple[str, ...]
    group: str = ""
    indent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table ready to print: every cell is a formatted string.

    Parameters
    ----------
    label
        ``tbl-...``, unique in the book.
    caption
        What is shown, in whom; plain text.
    columns
        Column headings, the stub's first.
    rows
        Lines in order; those of one group stand together.
    spanners
        (heading, first column, last column), columns counted from 1 after the stub.
    text_columns
        Numbers of the columns (as in spanners) that hold text: left-aligned, not aligned on the decimal point.
    notes
        Footnotes: abbreviations, methods, sets.
    results
        Ids of the results shown.
    """

    label: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    spanners: tuple[tuple[str, int, int], ...] = ()
    text_columns: frozenset[int] = field(default_factory=frozenset)
    notes: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_label(self.label, "tbl")
        for row in self.rows:
            if len(row.cells) != len(self.columns) - 1:
                raise ValueError(
                    f"{self.label}, row {row.stub!r}: {len(row.cells)} cells, {len(self.columns) - 1} columns"
                )

    def to_gt(self) -> GT:
        """The table as great-tables' object."""
        import pandas as pd
        from great_tables import GT

        names = [f"c{i}" for i in range(1, len(self.columns))]
        body: dict[str, Sequence[str]] = {
            "group": [row.group for row in self.rows],
            "stub": [NO_BREAK_SPACE * 4 * row.indent + row.stub for row in self.rows],
        }
        for i, name in enumerate(names, start=1):
            cells = [row.cells[i - 1] for row in self.rows]
            body[name] = cells if i in self.text_columns else align_decimals(cells)
        grouped = any(row.group for row in self.rows)
        gt = GT(
            pd.DataFrame(body if grouped else {k: v for k, v in body.items() if k != "group"}),
            rowname_col="stub",
            groupname_col="group" if grouped else None,
            id=self.label,
        )
        gt = gt.cols_label({name: _escaped(text) for name, text in zip(names, self.columns[1:], strict=True)})
        gt = gt.tab_stubhead(_escaped(self.columns[0])).cols_align("right", names)
        left = [name for i, name in enumerate(names, start=1) if i in self.text_columns]
        if left:
            gt = gt.cols_align("left", left)
        for k, (heading, first, last) in enumerate(self.spanners):
            gt = gt.tab_spanner(_escaped(heading), columns=names[first - 1 : last], id=f"spanner{k}")
        return gt

    def to_csv(self) -> str:
        """The printed table as CSV text, groups as a first column."""
        lines = [["group", *(heading.replace("\n", " ") for heading in self.columns)]]
        lines += [[row.group, row.stub, *row.cells] for row in self.rows]
        return _csv(lines)

    def bundle(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Data and metadata of the notebook output."""
        html = _STYLE.sub("", self.to_gt().as_raw_html())
        data = {"text/html": html, "text/plain": f"Table: {self.caption}"}
        metadata = {
            "kind": "table",
            "label": self.label,
            "caption": self.caption,
            "notes": list(self.notes),
            "csv": self.to_csv(),
            "results": list(self.results),
        }
        return data, metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure ready to print.

    Parameters
    ----------
    label
        ``fig-...``, unique in the book.
    caption
        What is seen and the n; plain text.
    alt
        What the figure shows, for those who cannot see it.
    svg
        The drawing; texts as paths, ink pure black so that the book can let it follow the theme.
    csv
        The numbers drawn.
    results
        Ids of the results drawn.
    """

    label: str
    caption: str
    alt: str
    svg: str
    csv: str
    results: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_label(self.label, "fig")
        if not self.alt.strip():
            raise ValueError(f"{self.label}: a figure needs an alternative text")

    def bundle(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Data and metadata of the notebook output."""
        data = {"image/svg+xml": self.svg, "text/plain": f"Figure: {self.alt}"}
        metadata = {
            "kind": "figure",
            "label": self.label,
            "caption": self.caption,
            "alt": self.alt,
            "csv": self.csv,
            "results": list(self.results),
        }
        return data, metadata


def figure(
    drawing: MatplotlibFigure, *, label: str, caption: str, alt: str, data: pd.DataFrame, results: Iterable[str] = ()
) -> Figure:
    """A :class:`Figure` from a matplotlib figure, which is closed; deterministic to the byte."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": label}), warnings.catch_warnings():
        # Text from the data may hold characters that the font lacks; they are drawn as empty boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # What still does not fit is drawn outside its axes; no text from the data may stop a report.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        drawing.savefig(
            buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.02,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )  # fmt: skip
    plt.close(drawing)
    svg = buffer.getvalue()
    svg = _rounded(_with_counted_ids(svg[svg.index("<svg") :]))
    table = _csv([list(data.columns), *data.itertuples(index=False, name=None)])
    return Figure(label=label, caption=caption, alt=alt, svg=svg, csv=table, results=tuple(results))


def _rounded(svg: str) -> str:
    """The drawing with its coordinates to a hundredth of a point; factors, styles and comments as they are.

    Matplotlib writes millionths, where processors that add in another order differ. Their sums agree far more closely
    than that, so rounding what is rounded already gives all of them the same drawing.
    """
    return _COORDINATE.sub(lambda match: _hundredths(match[0]) if match.lastgroup else match[0], svg)


def _hundredths(number: str) -> str:
    text = f"{Decimal(number).quantize(Decimal('0.01'), ROUND_HALF_EVEN):f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _with_counted_ids(svg: str) -> str:
    """The drawing with its clips and markers counted.

    Matplotlib names them by a hash of their coordinates in full: another Python or processor, whose sums differ in the
    last digit, would draw the same and name it otherwise.
    """
    counted = {id: f"{id[0]}{n}" for n, id in enumerate(dict.fromkeys(_HASHED_ID.findall(svg)), start=1)}
    return re.sub("|".join(counted), lambda match: counted[match[0]], svg) if counted else svg


def show(item: Table | Figure | Study) -> None:
    """Publish a table, a figure or the study the chapter works on."""
    data, metadata = item.bundle()
    _publish(data, metadata)


def record(results: Results) -> None:
    """Publish results, in full precision, for the report to collect."""
    text = f"{len(results)} results recorded"
    _publish({"text/plain": text}, {"kind": "results", "results": results.to_records()})


def _publish(data: dict[str, str], metadata: dict[str, Any]) -> None:
    from IPython.display import display

    display(data, metadata={METADATA_KEY: metadata}, raw=True)


def align_decimals(cells: Sequence[str]) -> list[str]:
    """Pad right-aligned cells so that the first numbers' decimal points stand under one another.

    A cell's tail is what follows the integer part of its first number. Shorter tails are filled with blanks as wide as
    the characters of the longest tail (figure space for a digit, no-break space for a mark).
    """
    tails = []
    for cell in cells:
        match = _NUMBER.search(cell)
        tails.append(cell[match.end() :] if match else None)
    longest = max((tail for tail in tails if tail is not None), key=len, default="")
    return [
        cell if tail is None else cell + _blank(longest[len(tail) :]) for cell, tail in zip(cells, tails, strict=True)
    ]


def _blank(text: str) -> str:
    return "".join(FIGURE_SPACE if ch.isalnum() or ch in "%−" else NO_BREAK_SPACE for ch in text)


def _escaped(text: str) -> Any:
    # great-tables passes headings through as HTML; data text in them (arm labels) must stay text.
    import html

    from great_tables import html as gt_html

    # Doubled braces are its notation for units.
    return gt_html(html.escape(text).replace("{", "&#123;").replace("\n", "<br>"))


def _csv(lines: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for line in lines:
        writer.writerow([csv_text("" if cell is None or cell != cell else cell).rstrip(FIGURE_SPACE) for cell in line])
    return buffer.getvalue()


def _check_label(label: str, kind: str) -> None:
    if not _LABEL.fullmatch(label) or not label.startswith(kind):
        raise ValueError(f"label {label!r}: use {kind}- and lower-case words, such as '{kind}-response'")
