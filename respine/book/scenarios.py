"""Named sets of parameters, or data sets, run one after the other and set side by side."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respine.book.build import Request, build, collect_results
from respine.book.choices import settled, validated
from respine.book.diff import number
from respine.book.execute import Progress, silent
from respine.book.failures import BuildFailedError, RefusedError
from respine.book.pages import page, table
from respine.book.paths import Repository, write_whole
from respine.book.results_file import PlacedResult, read_results
from respine.book.statements import statement_text
from respine.display.numbers import format_result
from respine.inert import csv_text
from respine.results import Result

if TYPE_CHECKING:
    import yaml

TOGETHER = "side-by-side"
"""Name of the table and the page of all scenarios."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One column of the comparison: its name, its file name, and what it asks for."""

    name: str
    slug: str
    overrides: Mapping[str, Any]
    data: Path | None


def read_scenarios(repository: Repository, file: Path) -> list[Scenario]:
    """Scenarios of a YAML file: by name, parameters and their values, ``data`` among them.

    Raises
    ------
    RefusedError
        Everything that is wrong in the file, each with its line.
    """
    scenarios: list[Scenario] = []
    problems: list[str] = []
    taken: dict[str, str] = {TOGETHER: TOGETHER}
    for name, line, node in _named(file):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if not slug or slug in taken:
            other = f"its file would be that of {taken[slug]!r}" if slug else "it has no letter or digit"
            problems.append(f"line {line}: {name!r} cannot name a scenario: {other}")
            continue
        taken[slug] = name
        found = _scenario(repository, name, slug, line, node)
        if isinstance(found, Scenario):
            scenarios.append(found)
        else:
            problems += found
    if problems:
        raise RefusedError("\n".join(f"{file}, {problem}" for problem in problems))
    return scenarios


def _named(file: Path) -> list[tuple[str, int, yaml.Node]]:
    """Name, line and content of each scenario."""
    import yaml

    try:
        top = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise RefusedError(f"{file}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RefusedError(f"{file}, line {line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RefusedError(f"{file} is not valid YAML: {error}") from None
    if not isinstance(top, yaml.MappingNode) or not top.value:
        raise RefusedError(f"{file}, line 1: write the name of each scenario, a colon, and its parameters below")
    return [(str(key.value), key.start_mark.line + 1, node) for key, node in top.value]


def _scenario(repository: Repository, name: str, slug: str, line: int, node: yaml.Node) -> Scenario | list[str]:
    """The scenario, or what is wrong with it."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return Scenario(name, slug, {}, None)
    if not isinstance(node, yaml.MappingNode):
        return [f"line {node.start_mark.line + 1}: {name!r}: write one 'name: value' a line"]
    problems: list[str] = []
    asked: dict[str, Any] = {}
    for key, value in node.value:
        at, parameter = f"line {key.start_mark.line + 1}: ", str(key.value)
        if parameter in asked:
            problems.append(f"{at}{parameter} is given twice")
            continue
        try:
            asked[parameter] = _value(value)
            # One by one, so that each mistake has its line; labels are looked up when the data set is known, too.
            one = {parameter: asked[parameter]}
            if parameter == "data":
                settled(repository, one)
            else:
                validated(one)
        except yaml.YAMLError:
            problems.append(f"{at}{parameter}: the value is neither a word, a number nor a [list, of, them]")
        except RefusedError as error:
            problems += [at + text for text in str(error).splitlines()]
    if problems:
        return problems
    try:
        return Scenario(name, slug, *settled(repository, asked))
    except RefusedError as error:  # values that contradict each other
        return [f"line {line}: {text}" for text in str(error).splitlines()]


def _value(node: yaml.Node) -> Any:
    import yaml

    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def run_scenarios(
    request: Request,
    scenarios: Sequence[Scenario],
    shown: Sequence[str],
    *,
    reports: bool,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Execute each scenario and write its results, and all together, below ``request.out``.

    Parameters
    ----------
    request
        How to build; its ``overrides`` and ``data`` are the scenarios', its ``out`` is the folder of all.
    scenarios, shown
        What to run; ids of the results to set side by side.
    reports
        Also build each scenario's whole report, ``<out>/<slug>/``, not its results alone, ``<out>/<slug>.csv``.
    """
    found: dict[str, dict[str, PlacedResult]] = {}
    for scenario in scenarios:
        say(f"scenario {scenario.name}")
        asked = replace(request, overrides=scenario.overrides, data=scenario.data, out=request.out / scenario.slug)
        listed = request.out / f"{scenario.slug}.csv"
        try:
            if reports:
                build(asked, progress, say)
                write_whole(listed, (asked.out / "results.csv").read_bytes())
            else:
                collect_results(asked, progress, say).write_csv(listed)
        except (RefusedError, BuildFailedError) as error:
            error.args = (f"scenario {scenario.name}: {error}",)
            raise
        found[scenario.name] = read_results(listed)
    numbers = {name: {id: placed.result for id, placed in rows.items()} for name, rows in found.items()}
    write_whole(request.out / f"{TOGETHER}.csv", together_csv(numbers, shown).encode())
    write_whole(request.out / f"{TOGETHER}.html", together_page(scenarios, numbers, shown).encode())


_FIELDS = ("value", "lower", "upper", "p", "n")
Numbers = Mapping[str, Mapping[str, Result]]
"""Results by id, by scenario."""


def together_csv(numbers: Numbers, shown: Sequence[str]) -> str:
    """One row a result; of each scenario its value, limits, p and n in full precision, and its text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", *(csv_text(f"{name}: {field}") for name in numbers for field in (*_FIELDS, "text"))])
    for id in shown:
        writer.writerow([id, *(cell for results in numbers.values() for cell in _exact(results, id))])
    return stream.getvalue()


def _exact(results: Mapping[str, Result], id: str) -> list[str]:
    result = results.get(id)
    if result is None:
        return [""] * (len(_FIELDS) + 1)
    values = [getattr(result, field) for field in _FIELDS]
    # NaN is the only value that differs from itself.
    return ["" if v is None or v != v else repr(v) for v in values] + [csv_text(statement_text(result.text, results))]


def together_page(scenarios: Sequence[Scenario], numbers: Numbers, shown: Sequence[str]) -> str:
    """The same for reading, below what each scenario asks for."""
    names = [scenario.name for scenario in scenarios]
    asked = sorted({parameter for scenario in scenarios for parameter in scenario.overrides})
    choices = [[name, *(_asked(s.overrides.get(name)) for s in scenarios)] for name in asked]
    if any(scenario.data for scenario in scenarios):
        choices.append(["data", *(s.data.name if s.data else "" for s in scenarios)])
    rows = [[_heading(numbers, id), *(_printed(results, id) for results in numbers.values())] for id in shown]
    body = table(["parameter", *names], choices, "What differs; empty: as the plan says") if choices else ""
    first = f"<p>{escape(', '.join(names))}.</p>"
    return page("Scenarios side by side", first + body + table(["result", *names], rows, "Headline results"))


def _asked(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "" if value is None else number(value) if isinstance(value, float) else str(value)


def _heading(numbers: Numbers, id: str) -> str:
    result = next((results[id] for results in numbers.values() if id in results), None)
    if result is None or result.statistic == "statement":
        return id
    where = ", ".join(filter(None, (result.parameter or result.analysis, result.arm)))
    return f"{result.statistic}{f' ({where})' if where else ''}: {id}"


def _printed(results: Mapping[str, Result], id: str) -> str:
    result = results.get(id)
    if result is None:
        return "not available"
    return statement_text(result.text, results) if result.statistic == "statement" else format_result(result, "full")
