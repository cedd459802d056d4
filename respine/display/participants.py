"""Participants: the CONSORT flow diagram, who was seen when, and the sentences about them."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from respine.analyses import participants
from respine.analyses.study import Arms
from respine.display.numbers import format_percent
from respine.display.outputs import Figure, Row, Table, figure
from respine.display.style import COLOUR, INK, canvas
from respine.display.tables import EMPTY
from respine.display.wording import counted, literal
from respine.inert import visible
from respine.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE_HEIGHT = 0.165
PADDING = 0.11
GAP = 0.27
BOX_WIDTH = {"middle": 2.5, "side": 2.75, "arm": 2.95}
MOST_REASONS = 8
WRAP = 44
NO_REASON = "no reason for leaving the study is recorded"
"""Reasons are optional: without any, nobody can tell whether somebody left."""


def flow_diagram(results: Results, arms: Arms, primary_month: float) -> Figure:
    """Screened, randomised, treated, followed and analysed, with every reason given."""
    boxes = _contents(results, arms, primary_month)
    heights = {name: len(lines) * LINE_HEIGHT + 2 * PADDING for name, lines in boxes.items()}
    rows: list[tuple[str, ...]] = [("screened",), ("excluded",), ("randomised",)]
    rows += [tuple(f"{stage}.{role}" for role in participants.ROLES) for stage in ("allocated", "followed", "analysed")]
    total = sum(max(heights[name] for name in row) for row in rows) + GAP * (len(rows) - 1)
    drawing, (ax,) = canvas(total + 0.1)
    ax.set_axis_off()
    width = drawing.get_figwidth()
    ax.set_xlim(0, width)
    ax.set_ylim(total, 0)
    side = width - BOX_WIDTH["side"] / 2 - 0.02
    centre = {"treatment": BOX_WIDTH["arm"] / 2 + 0.02, "control": width - BOX_WIDTH["arm"] / 2 - 0.02}
    top, bottoms = 0.0, {}
    for row in rows:
        for name in row:
            stage, _, role = name.partition(".")
            kind = "arm" if role else "side" if stage == "excluded" else "middle"
            middle = centre[role] if role else width / 2 if stage != "excluded" else side
            _box(ax, middle, top, BOX_WIDTH[kind], heights[name], boxes[name], COLOUR.get(role, INK))
            bottoms[name] = (top, top + heights[name])
        top += max(heights[name] for name in row) + GAP
    _arrows(ax, bottoms, width / 2, centre, side - BOX_WIDTH["side"] / 2)
    counts = [r for r in results.values() if r.statistic == "count"]
    data = pd.DataFrame([{"id": r.id, "reason": r.parameter, "participants": int(r.value)} for r in counts])
    n, left = (
        {role: int(results[f"participants.{what}.{role}"].value) for role in participants.ROLES}
        for what in ("randomised", "discontinued")
    )
    return figure(
        drawing,
        label="fig-flow",
        caption=(
            f"Flow of participants through the trial (CONSORT 2025). ITT, intention to treat; mITT, modified intention "
            f"to treat; PP, per protocol; SAF, safety set. {sum(n.values())} participants were randomised."
        ),
        alt=(
            f"{int(results['participants.screened'].value)} screened, {sum(n.values())} randomised: "
            f"{n['treatment']} to {arms.treatment} and {n['control']} to {arms.control}; "
            f"{_early(left)}."
        ),
        data=data,
        results=[r.id for r in counts],
    )


def _early(left: dict[str, int]) -> str:
    return f"{left['treatment']} and {left['control']} left the study early" if any(left.values()) else NO_REASON


def _contents(results: Results, arms: Arms, primary_month: float) -> dict[str, list[str]]:
    def n(name: str) -> int:
        return int(results[f"participants.{name}"].value) if f"participants.{name}" in results else 0

    excluded = participants.reasons(results, "excluded")
    lines = [f"Not randomised (n = {n('excluded')})"]
    lines += [f"{r.parameter} (n = {int(r.value)})" for r in excluded[:MOST_REASONS]]
    rest = sum(int(r.value) for r in excluded[MOST_REASONS:])
    if rest:
        lines.append(f"other reasons (n = {rest})")
    boxes = {
        "screened": [f"Screened (n = {n('screened')})"],
        "excluded": _wrapped(lines),
        "randomised": [f"Randomised (n = {n('randomised.overall')})"],
    }
    someone = any(n(f"discontinued.{role}") for role in participants.ROLES)
    for role in participants.ROLES:
        label = arms[role]
        allocated = [f"Allocated to {label} (n = {n(f'randomised.{role}')})"]
        allocated += [f"received {label} (n = {n(f'as_allocated.{role}')})"]
        allocated += [f"received the other arm's treatment (n = {n(f'other_arm.{role}')})"]
        allocated += [f"not treated (n = {n(f'not_treated.{role}')})"]
        prefix = "participants.discontinued."
        left = [r for r in results.values() if r.id.startswith(prefix) and r.arm == role and r.parameter]
        followed = [f"Seen at month {primary_month:g} (n = {n(f'seen.m{primary_month:g}.{role}')})"]
        followed += [f"left the study early (n = {n(f'discontinued.{role}')})" if someone else NO_REASON]
        followed += [f"\u2003{r.parameter.lower()} (n = {int(r.value)})" for r in left]
        analysed = ["Analysed"] + [
            f"{name} (n = {n(f'set.{slug}.{role}')})" for name, slug in participants.SETS.items()
        ]
        boxes |= {f"allocated.{role}": _wrapped(allocated), f"followed.{role}": _wrapped(followed)}
        boxes[f"analysed.{role}"] = analysed
    return boxes


def _wrapped(lines: list[str]) -> list[str]:
    """Long texts broken and cut to two lines; the drawing indents all but a box's first line."""
    out: list[str] = []
    for text in lines:
        # A count stays in one piece.
        line = re.sub(r"\(n = (\d+)\)$", "(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}\\1)", visible(text))
        indent = line[: len(line) - len(line.lstrip())]
        out += [
            indent + part
            for part in textwrap.wrap(line, WRAP, subsequent_indent="\u2002", max_lines=2, placeholder=" …")
        ] or [""]
    return out


def _box(ax: Axes, middle: float, top: float, width: float, height: float, lines: list[str], colour: str) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((middle - width / 2, top), width, height, fill=False, edgecolor=colour, linewidth=0.9))
    for k, line in enumerate(lines):
        ax.text(
            middle - width / 2 + PADDING + (0.1 if k else 0.0), top + PADDING + (k + 0.5) * LINE_HEIGHT, line,
            va="center", fontsize=8.5, fontweight="regular" if k else "semibold", color=INK,
        )  # fmt: skip


def _arrows(
    ax: Axes, spans: dict[str, tuple[float, float]], middle: float, centre: dict[str, float], side: float
) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}

    def arrow(x: float, y: float, to_x: float, to_y: float) -> None:
        ax.annotate("", (to_x, to_y), (x, y), arrowprops=style)

    screened, excluded, randomised = spans["screened"], spans["excluded"], spans["randomised"]
    arrow(middle, screened[1], middle, randomised[0])
    arrow(middle, sum(excluded) / 2, side, sum(excluded) / 2)
    fork = randomised[1] + GAP / 2
    ax.plot([middle, middle], [randomised[1], fork], color=INK, linewidth=0.8)
    ax.plot([centre["treatment"], centre["control"]], [fork, fork], color=INK, linewidth=0.8)
    for role, x in centre.items():
        arrow(x, fork, x, spans[f"allocated.{role}"][0])
        for above, below in (("allocated", "followed"), ("followed", "analysed")):
            arrow(x, spans[f"{above}.{role}"][1], x, spans[f"{below}.{role}"][0])


def visits_table(results: Results, arms: Arms) -> Table:
    """Participants with a questionnaire at each visit, as a share of those randomised."""
    months = sorted(
        {r.visit for r in results.values() if r.id.startswith("participants.seen.") and r.visit is not None}
    )
    randomised = {role: int(results[f"participants.randomised.{role}"].value) for role in participants.ROLES}
    rows, ids = [], []
    for month in months:
        cells = []
        for role in participants.ROLES:
            r = results[f"participants.seen.m{month:g}.{role}"]
            ids.append(r.id)
            share = format_percent(r.value / randomised[role], randomised[role]) if randomised[role] else EMPTY
            cells.append(f"{int(r.value)} ({share})")
        rows.append(Row("Baseline" if month == 0 else f"Month {month:g}", tuple(cells)))
    return Table(
        label="tbl-visits",
        caption="Participants of the intention-to-treat set with pain or disability known, by visit; n (%).",
        columns=("Visit", *(f"{arms[role]}\n(n = {randomised[role]})" for role in participants.ROLES)),
        rows=tuple(rows),
        notes=("VAS, visual analogue scale; ODI, Oswestry Disability Index.",),
        results=tuple(ids),
    )


def sentences(results: Results, arms: Arms) -> Results:
    """The design in one sentence, and the key finding of the chapter."""
    said = Results()

    def n(name: str) -> int:
        return int(results[f"participants.{name}"].value)

    treatment, control = literal(arms.treatment), literal(arms.control)
    places = f"{counted(n('centres'), 'centre')} in {counted(n('countries'), 'country', 'countries')}"
    said.state(
        "participants.design",
        f"In {places}, {{participants.randomised.overall}} participants were randomised: "
        f"{{participants.randomised.treatment}} to {treatment} and {{participants.randomised.control}} to {control}.",
    )
    left = n("discontinued.treatment") + n("discontinued.control")
    early = (
        f"{{participants.discontinued.treatment}} ({treatment}) and {{participants.discontinued.control}} ({control}) "
        "left the study early"
        if left
        else NO_REASON
    )
    said.state(
        "participants.key",
        f"Of {{participants.screened}} people screened, {{participants.randomised.treatment}} were randomised to "
        f"{treatment} and {{participants.randomised.control}} to {control}; {early}.",
    )
    other = n("other_arm.treatment") + n("other_arm.control")
    untreated = n("not_treated.treatment") + n("not_treated.control")
    none = f"{counted(untreated, 'participant')} received none" if untreated else "everybody was treated"
    said.state(
        "participants.deviations",
        f"{counted(other, 'participant').capitalize()} received the other arm's treatment and {none}.",
    )
    return said
