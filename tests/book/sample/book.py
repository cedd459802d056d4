"""A small book with every kind of content, for the tests of the book's rendering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from respine.display.outputs import Row, Table, figure
from respine.results import Estimate, Results, not_estimable

HERE = Path(__file__).parent
HOSTILE = '<script>alert("x")</script> #set page(fill: red) $x$ *b* _i_ `c` [l](http://x.y) {a} \\ @tbl-baseline'

CONFIG = (HERE.parents[2] / "_config.yml").read_text(encoding="utf-8") + "    respine_published: published.csv\n"
TOC = (HERE / "_toc.yml").read_text(encoding="utf-8")


def study(treatment: str = "BM-MSC", synthetic: bool = True, **parameters: Any) -> dict[str, Any]:
    info = {
        "title": "Sample trial", "studyid": "SAMPLE", "synthetic": synthetic, "source": "made up",
        "licence": "CC BY 4.0", "cutoff": "2024-11-01", "treatment": treatment, "control": "Sham",
        "sha256": {"adsl": "00ff"},
    }  # fmt: skip
    taken = {"data": "data/sample", "primary_month": 12, "alpha": 0.05, "vas_rule_mm": 20.0} | parameters
    return {"kind": "study", "parameters": taken, "info": info}


def results(treatment: str = "BM-MSC", responders: int = 37) -> Results:
    rows = Results()
    for arm, count, n in (("treatment", responders, 50), ("control", 34, 49)):
        rate = Estimate(
            statistic="proportion", value=count / n, n=n, unit="proportion", lower=0.59, upper=0.84, level=0.95
        )
        rows.add(f"response.rate.{arm}", rate, arm=arm, set="ITT")
    difference = Estimate(
        statistic="risk difference", value=responders / 50 - 34 / 49, lower=-0.1322, upper=0.2221, level=0.95, p=0.7747,
        n=99, method="Miettinen-Nurminen score interval", unit="proportion",
    )  # fmt: skip
    rows.add("response.rd.mn", difference, arm="difference", set="ITT")
    rows.add("structure.t2", Estimate(statistic="mean difference", value=-3.05, unit="ms", p=0.0004), arm="difference")
    rows.add("structure.none", not_estimable("mean difference", "no participant with data", unit="ms"))
    rows.state(
        "response.verdict",
        f"The response rate was {{response.rate.treatment|fraction}} with {treatment} and "
        "{response.rate.control|fraction} with Sham; treatment difference {response.rd.mn|full}.",
    )
    return rows


def baseline_table(treatment: str = "BM-MSC") -> Table:
    return Table(
        label="tbl-baseline",
        caption=f"Baseline characteristics by randomised arm, {treatment} against Sham.",
        columns=("Characteristic", f"{treatment}\n(n = 58)", "Sham\n(n = 56)"),
        rows=(
            Row("Age, years, mean (SD)", ("40.1 (7.2)", "41.3 (8.0)"), "Demographics"),
            Row("Female, n (%)", ("30 (52)", "28 (50)"), "Demographics"),
            Row("VAS, mm, mean (SD)", ("67.3 (13.1)", "66.0 (12.4)"), "Pain"),
            Row("ODI, mean (SD)", ("41.2 (9.9)", "9.0 (10.2)"), "Pain"),
            Row("missing, n", ("0", "1"), "Pain", indent=1),
        ),
        notes=("SD, standard deviation; VAS, visual analogue scale.", "Intention-to-treat set."),
    )


def wide_table() -> Table:
    months = (1, 3, 6, 12, 24)
    return Table(
        label="tbl-visits",
        caption="VAS by visit.",
        columns=("Outcome", *(f"{arm}\nmonth {m}" for m in months for arm in ("BM-MSC", "Sham"))),
        rows=tuple(
            Row(f"Outcome number {k}", tuple(f"{-k * 1.5 - j:.1f} ({10 + j}.2)".replace("-", "−") for j in range(10)))
            for k in range(70)
        ),
        spanners=(("Early", 1, 4), ("Late", 5, 10)),
        notes=("Mean change (SD), mm.",),
    )


def response_figure(svg: str | None = None) -> dict[str, Any]:
    import pandas as pd

    from respine.display.style import COLOUR, INK, canvas

    drawing, (ax,) = canvas(2.6)
    for k, arm in enumerate(("treatment", "control")):
        ax.errorbar([74 - 5 * k], [k], xerr=[[12], [10]], fmt="os"[k], color=COLOUR[arm], capsize=3)
    ax.axvline(50, color=INK, linewidth=0.7)
    ax.set_yticks([0, 1], ["BM-MSC", "Sham"])
    ax.set_ylim(1.6, -0.6)
    ax.set_xlabel("Responders at month 12 (%)")
    data = pd.DataFrame({"arm": ["=BM-MSC", "Sham"], "rate": [0.74, 34 / 49]})
    made = figure(
        drawing, label="fig-response", caption="Responders at month 12 with 95% CI; n = 99.",
        alt="Response rates of 74% and 69% with overlapping intervals.", data=data,
    )  # fmt: skip
    return _bundle(*made.bundle())


def _bundle(data: dict[str, str], metadata: dict[str, Any]) -> dict[str, Any]:
    return new_output("display_data", data=data, metadata={"respine": metadata})


def notebook(*cells: Any) -> Any:
    made = new_notebook(cells=list(cells))
    for k, cell in enumerate(made.cells):
        cell["id"] = f"c{k}"
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made.metadata["language_info"] = {"name": "python"}
    return made


def code(source: str, *outputs: Any, tags: tuple[str, ...] = ()) -> Any:
    return new_code_cell(source, outputs=list(outputs), execution_count=1, metadata={"tags": list(tags)})


def write_book(
    folder: Path,
    *,
    treatment: str = "BM-MSC",
    synthetic: bool = True,
    responders: int = 37,
    extra: str = "",
    config: str = "",
) -> Path:
    """Write the sample book: front page, two executed chapters, methods and references."""
    (folder / "chapters").mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "_config.yml").write_text(CONFIG + config, encoding="utf-8")
    (folder / "_toc.yml").write_text(TOC, encoding="utf-8")
    for name in ("index.md", "references.bib", "chapters/methods.md", "chapters/references.md", "published.csv"):
        (folder / name).write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "index.md").open("a", encoding="utf-8").write(extra)
    the_study = new_output(
        "display_data", data={"text/plain": "Sample trial"}, metadata={"respine": study(treatment, synthetic)}
    )
    rows = results(treatment, responders)
    recorded = new_output(
        "display_data",
        data={"text/plain": f"{len(rows)} results recorded"},
        metadata={"respine": {"kind": "results", "results": rows.to_records()}},
    )
    response = notebook(
        new_markdown_cell((HERE / "chapters/response.md").read_text(encoding="utf-8")),
        code("data = 'data/sample'", tags=("parameters", "hide-input")),
        code("study = open_study(data=data)\nshow(study)", the_study),
        code("record(results)", recorded),
        new_markdown_cell("## Figure\n\n{statement}`response.verdict` {numref}`fig-response` shows it."),
        code("show(figure)", response_figure()),
        code("print('plain output')", new_output("stream", name="stdout", text="plain output\n")),
    )
    baseline = notebook(
        new_markdown_cell(
            "# Baseline\n\nBaseline characteristics are in {numref}`tbl-baseline` and {numref}`tbl-visits`."
        ),
        code("show(study)", the_study),
        code("show(table)", _bundle(*baseline_table(treatment).bundle())),
        code("show(wide)", _bundle(*wide_table().bundle())),
        new_markdown_cell("After the tables, a paragraph with {result}`response.rd.mn` from another chapter."),
    )
    for name, made in (("response", response), ("baseline", baseline)):
        nbformat.validate(made)
        (folder / f"chapters/{name}.ipynb").write_text(json.dumps(made, indent=1), encoding="utf-8")
    return folder
