"""The command line. Heavy imports wait until a command needs them, so that help and refusals are instant."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from respine.book.build import Request
    from respine.book.diff import Change

REFUSED, FAILED = 2, 1
HEADLINE = (
    "response.rate.treatment", "response.rate.control", "response.rd.main", "structure.main",
    "secondary.vaspain.primary.difference", "secondary.odi.primary.difference",
    "response.verdict", "structure.verdict", "discussion.conclusion",
)  # fmt: skip
"""What scenarios are compared by: the co-primary differences, pain and function, and the verdicts."""

app = typer.Typer(
    name="respine",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time that help takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Chosen = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter; may be given several times."),
]
ParameterFile = Annotated[
    Path | None, typer.Option("--params", metavar="FILE", help="YAML file of parameters; -p goes before it.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, max=64, help="Chapters at a time [default: one a core].")
]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="forked|papermill", help="Forked kernels, or papermill's ordinary ones.")
]
Timeout = Annotated[int, typer.Option("--timeout", min=1, help="Seconds that a cell may take.")]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data set, instead of the book's own.")]


def _version(asked: bool) -> None:
    if asked:
        from respine.book.provenance import package_version

        print(f"respine {package_version()}")
        raise typer.Exit


@app.callback(epilog="Example: respine build --data data/my-trial --out report")
def respine(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The RESPINE trial as an executable manuscript: check data, build the report, compare reports.

    Any command takes --debug to show the traceback of an unexpected error.
    """


@app.command(epilog="Example: respine check data/my-trial --treatment 'MSC 6M' --control Placebo --out findings")
def check(
    data: Annotated[Path, typer.Argument(help="Folder of the data set's tables, or one workbook.")],
    treatment: Annotated[str | None, typer.Option(help="Label of the treatment arm.")] = None,
    control: Annotated[str | None, typer.Option(help="Label of the control arm.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write findings.csv and findings.html there.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check a data set against the contract. Exit 0, with warnings counted, or 2 when there are errors."""
    from respine.book.failures import RefusedError

    if not data.exists():
        raise RefusedError(f"there is no data set at {data}")
    if treatment is not None and treatment == control:
        raise RefusedError(f"treatment and control are both {treatment!r}: name two different arms")
    from respine.trial import check as check_data

    report = check_data(data, treatment=treatment, control=control)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        report.write_csv(out / "findings.csv")
        from respine.book.findings_page import findings_page

        (out / "findings.html").write_text(findings_page(report), encoding="utf-8")
    if as_json:
        import dataclasses

        findings = [dataclasses.asdict(finding) for finding in report.findings]
        _print_json({"errors": report.n_errors, "warnings": report.n_warnings, "findings": findings})
    elif not quiet or report.n_errors:
        print(report.summary())
        if out is not None:
            print(f"all findings: {out / 'findings.csv'}, {out / 'findings.html'}")
    if report.n_errors:
        raise typer.Exit(REFUSED)


@app.command(
    epilog="Example: respine build --data data/my-trial -p primary_month=6 -p 'subgroups=[SEX, AGE]' --out report"
)
def build(
    data: DataOption = None,
    parameter: Chosen = None,
    params: ParameterFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes [default: report].")
    ] = None,
    jobs: Jobs = None,
    engine: EngineName = "forked",
    timeout: Timeout = 600,
    force: Annotated[bool, typer.Option("--force", help="Execute every chapter, stale or not.")] = False,
    since: Annotated[
        Path | None, typer.Option("--since", metavar="REPORT", help="Add a page of what changed since that report.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Build the report. Checks the data, executes what is stale, renders HTML and PDF, swaps the report in whole."""
    import dataclasses

    request = _request(parameter, params, data, out, jobs, engine, timeout, force)
    request = dataclasses.replace(request, since=since)

    from respine.book.build import build as build_report
    from respine.book.progress import Display

    with Display(quiet or as_json) as display:
        built = build_report(request, display, display.say)
    report = _from_here(built.out)
    if as_json:
        _print_json({**dataclasses.asdict(built), "out": str(built.out)})
    elif built.current and not quiet:
        print(f"{report} is up to date: nothing has changed ({built.seconds:.2f} s)")
    elif not quiet:
        n = f"{len(built.executed)} chapters executed, {len(built.cached)} unchanged"
        print(f"{report}: {built.n_results} results; {n}; {built.seconds:.1f} s")
        if built.n_warnings:
            print(f"{built.n_warnings} warnings about the data: {report / 'findings.csv'}")
        print(f"  {report / 'html' / 'index.html'}\n  {report / 'respine.pdf'}")
        if since is not None:
            print(f"  {report / 'html' / 'changes.html'}")


@app.command(epilog="Example: respine serve --data data/my-trial --port 8080")
def serve(
    data: DataOption = None,
    parameter: Chosen = None,
    params: ParameterFile = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes [default: report].")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    jobs: Jobs = None,
    engine: EngineName = "forked",
    timeout: Timeout = 600,
) -> None:
    """Show the report while you work on it. Builds and reloads it whenever chapters, data or package change."""
    request = _request(parameter, params, data, out, jobs, engine, timeout, False)
    options = [("--out", request.out), ("--jobs", request.jobs), ("--engine", engine), ("--timeout", timeout)]
    options += [(name, value) for name, value in (("--data", data), ("--params", params)) if value is not None]
    options += [("-p", text) for text in parameter or ()]
    command = [sys.executable, "-m", "respine.cli", "build", *(str(word) for option in options for word in option)]
    from respine.book.serve import serve as serve_report

    def say(text: str) -> None:
        print(text, flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        serve_report(request.repository, request.out, request.data, command, port=port, say=say)
    say("stopped")


@app.command(epilog="Example: respine refresh response safety")
def refresh(
    chapters: Annotated[list[str] | None, typer.Argument(help="Chapters by name; all by default.")] = None,
    jobs: Jobs = None,
    engine: EngineName = "forked",
    timeout: Timeout = 600,
    quiet: Quiet = False,
) -> None:
    """Execute committed chapters in place. They take their default parameters and give the same bytes every time."""
    request = _request(None, None, None, None, jobs, engine, timeout, True)
    from respine.book.progress import Display
    from respine.book.refresh import refresh as refresh_chapters

    with Display(quiet) as display:
        done = refresh_chapters(request, tuple(chapters or ()), display, display.say)
    if not quiet:
        print(f"{len(done.changed)} chapters changed, {len(done.unchanged)} as before")


@app.command(epilog="Example: respine status --why")
def status(
    why: Annotated[bool, typer.Option("--why", help="Say what has changed since each chapter last ran.")] = False,
    data: DataOption = None,
    parameter: Chosen = None,
    params: ParameterFile = None,
    as_json: Json = False,
) -> None:
    """Say which chapters a build would execute."""
    request = _request(parameter, params, data, None, None, "forked", 600, False)
    from respine.book.build import chapter_states, make_plan

    states = chapter_states(request.repository, make_plan(request.repository, request.overrides, request.data))
    if as_json:
        _print_json({state.chapter: {"stale": state.stale, "why": state.why} for state in states})
        return
    for state in states:
        print(f"{'stale  ' if state.stale else 'current'}  {state.chapter}")
        for reason in state.why if why else ():
            print(f"           {reason}")


@app.command(epilog="Example: respine parameters --json")
def parameters(as_json: Json = False) -> None:
    """List the analysis plan's parameters. Each with default, unit, bounds and meaning."""
    from respine.book.choices import describe_parameters

    rows = describe_parameters()
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        allowed = f"; allowed: {row['allowed']}" if row["allowed"] else ""
        print(f"{row['name']} = {row['default']}{unit}\n    {row['help']}{allowed}")


@app.command(epilog="Example: respine scenarios scenarios.yml --out scenarios")
def scenarios(
    file: Annotated[Path, typer.Argument(help="YAML file: by name, parameters and their values, data among them.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go.")] = Path("scenarios"),
    reports: Annotated[bool, typer.Option("--reports", help="Also build the whole report of each.")] = False,
    jobs: Jobs = None,
    engine: EngineName = "forked",
    timeout: Timeout = 600,
    quiet: Quiet = False,
) -> None:
    """Set named analyses side by side. Runs parameter sets or data sets; writes headline results as CSV and HTML."""
    request = _request(None, None, None, out, jobs, engine, timeout, False)
    from respine.book.scenarios import TOGETHER, read_scenarios, run_scenarios

    asked = read_scenarios(request.repository, file)
    from respine.book.progress import Display

    with Display(quiet) as display:
        run_scenarios(request, asked, HEADLINE, reports=reports, progress=display, say=display.say)
    if not quiet:
        print(f"{len(asked)} scenarios: {out / TOGETHER}.html, {out / TOGETHER}.csv")


@app.command(epilog="Example: respine diff report-march report --html changes.html")
def diff(
    old: Annotated[Path, typer.Argument(help="The earlier report, or its results.csv.")],
    new: Annotated[Path, typer.Argument(help="The later report, or its results.csv.")],
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write every comparison there.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of the changes.")] = None,
    rows: Annotated[int, typer.Option(help="Changes shown on the screen.", min=0)] = 40,
    as_json: Json = False,
) -> None:
    """Compare two reports number by number. Exit 0 whether or not they differ."""
    from respine.book import diff as differ
    from respine.book.results_file import read_results

    changes = differ.compare(read_results(old), read_results(new))
    if csv is not None:
        differ.write_csv(changes, csv)
    if html is not None:
        html.write_text(differ.html_page(changes, old.name or str(old), new.name or str(new)), encoding="utf-8")
    if as_json:
        found = [dict(zip(differ.HEADINGS, differ.printed(c), strict=True)) for c in differ.differing(changes)]
        _print_json({"counts": differ.counts(changes), "changes": found})
    else:
        _print_changes(changes, rows)


@app.command(epilog="Example: respine verify report")
def verify(
    report: Annotated[Path, typer.Argument(help="Folder of a report.")] = Path("report"), as_json: Json = False
) -> None:
    """Say whether a report is intact. Hashes its files again and compares with its run.json; exit 1 if they differ."""
    import dataclasses

    from respine.book.provenance import verify as verify_report

    found = verify_report(report)
    if as_json:
        _print_json({"intact": found.intact, **dataclasses.asdict(found)})
    elif found.intact:
        print(f"{report} is intact: {found.files} files")
    else:
        for what in ("changed", "missing", "added"):
            for name in getattr(found, what):
                print(f"{what}: {name}")
    if not found.intact:
        raise typer.Exit(FAILED)


@app.command(
    "simulate-data",
    epilog="Example: respine simulate-data data/effect --effect-vas -25 --effect-odi -12 --effect-t2 8 --treatment MSC",
)
def simulate_data(
    out: Annotated[Path, typer.Argument(help="Folder to write; new or empty.")],
    n_treatment: Annotated[int | None, typer.Option(help="Participants randomised to treatment.")] = None,
    n_control: Annotated[int | None, typer.Option(help="Participants randomised to control.")] = None,
    treatment: Annotated[str | None, typer.Option(help="Label of the treatment arm.")] = None,
    control: Annotated[str | None, typer.Option(help="Label of the control arm.")] = None,
    effect_vas: Annotated[float, typer.Option(help="Difference of VAS at month 12 in mm; negative is better.")] = 0.0,
    effect_odi: Annotated[float, typer.Option(help="Difference of ODI at month 12; negative is better.")] = 0.0,
    effect_t2: Annotated[float, typer.Option(help="Difference of T2 at month 12 in ms; positive is better.")] = 0.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every draw [default: the shipped one].")] = None,
    quiet: Quiet = False,
) -> None:
    """Write a synthetic data set. The shipped one by default, or one with other arms, sizes and effects."""
    from respine.book.failures import RefusedError

    _require_empty(out)
    from respine.trial import synthetic

    asked: dict[str, Any] = {
        "n_treatment": n_treatment,
        "n_control": n_control,
        "treatment": treatment,
        "control": control,
        "effect_vas": effect_vas,
        "effect_odi": effect_odi,
        "effect_t2": effect_t2,
    }
    try:
        spec = synthetic.SimulationSpec(**{name: value for name, value in asked.items() if value is not None})
    except ValueError as error:
        raise RefusedError(str(error)) from None
    tables = synthetic.simulate_trial(spec, synthetic.shipped_seed() if seed is None else seed)
    synthetic.write_dataset(tables, synthetic.dataset_info(spec), out)
    if not quiet:
        print(f"{out}: {spec.n} participants randomised, {spec.treatment} against {spec.control}")


@app.command(epilog="Example: respine template data/my-trial --format xlsx")
def template(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; new or empty.")],
    format: Annotated[
        str, typer.Option("--format", metavar="csv|xlsx", help="One file a table, or one workbook.")
    ] = "csv",
    quiet: Quiet = False,
) -> None:
    """Write empty tables to fill. With a data dictionary, the codes, and a filled example."""
    from respine.book.failures import RefusedError

    if format not in ("csv", "xlsx"):
        raise RefusedError(f"--format {format}: there are csv and xlsx")
    _require_empty(out)
    from respine.trial.template import write_template

    write_template(out, "xlsx" if format == "xlsx" else "csv")
    if not quiet:
        print(f"{out}: empty tables, dataset.yml, data-dictionary.csv, parameter-codes.csv, example/")


def _require_empty(folder: Path) -> None:
    from respine.book.failures import RefusedError

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"{folder} is not an empty folder")


def _request(
    parameter: Sequence[str] | None,
    params: Path | None,
    data: Path | None,
    out: Path | None,
    jobs: int | None,
    engine: str,
    timeout: int,
    force: bool,
) -> Request:
    """The validated request; everything that can be refused without the data is refused here."""
    from respine.book.choices import choose
    from respine.book.failures import RefusedError
    from respine.book.paths import find_repository

    if engine not in ("forked", "papermill"):
        raise RefusedError(f"--engine {engine}: there are forked and papermill")
    repository = find_repository()
    overrides, folder = choose(repository, parameter or (), params, data)
    from respine.book.build import Request

    return Request(
        repository=repository,
        out=(repository.root / "report" if out is None else out).resolve(),
        overrides=overrides,
        data=folder,
        engine="papermill" if engine == "papermill" else "forked",
        jobs=jobs or os.cpu_count() or 1,
        timeout=timeout,
        force=force,
    )


def _from_here(path: Path) -> Path:
    """A path as a person in the working folder would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _print_changes(changes: list[Change], rows: int) -> None:
    from respine.book import diff as differ

    print(differ.summary(changes))
    found = differ.differing(changes)
    flipped = [change for change in found if change.kind == "flipped"]
    numbers = [change for change in found if change.kind != "flipped"]
    for change in (*flipped, *numbers[:rows]):
        print(f"\n{differ.on_screen(change)}")
    if len(numbers) > rows:
        print(f"\nand {len(numbers) - rows} more: --rows N, --csv FILE or --html FILE shows them")


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, ensure_ascii=False, indent=1))


def _terminated(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 failed, 2 refused, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Looking for plugins of pydantic, which would read the metadata of every package installed, is left out.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminated)
    try:
        app([word for word in words if word != "--debug"], prog_name="respine")
    except Exception as error:
        if "--debug" in words:
            raise
        raise SystemExit(_report(error)) from None
    raise SystemExit(0)


def _report(error: Exception) -> int:
    """Say what went wrong; the exit status."""
    from respine.book.failures import BuildFailedError, RefusedError

    if isinstance(error, RefusedError):
        print(error, file=sys.stderr)
        listed = getattr(error, "listed", None)
        if listed is not None:
            print(f"\nall findings: {listed}", file=sys.stderr)
        return REFUSED
    if isinstance(error, BuildFailedError):
        for failure in error.failures:
            print(f"\n{failure.report()}", file=sys.stderr)
        print(f"\n{error}; the report published before is untouched", file=sys.stderr)
        return FAILED
    if isinstance(error, OSError):
        print(f"{error.strerror}: {error.filename}", file=sys.stderr)
        return FAILED
    print(f"{type(error).__name__}: {error}\nThis is a defect of respine; --debug shows where.", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    main()
