"""From chapters and data to a report, as one transaction: check, execute what is stale, render, swap in."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respine.book import provenance, transaction
from respine.book.cache import (
    PACKAGE,
    Cache,
    Entry,
    Inputs,
    World,
    data_files,
    digest,
    imported_modules,
    imported_names,
    module_hashes,
    module_name,
    survey,
    taken,
)
from respine.book.chapters import Chapter, page_names, page_path, read_chapters
from respine.book.execute import CELL_SECONDS, Engine, Outcome, Progress, Run, execute, kernels, silent, with_outputs
from respine.book.failures import BuildFailedError, Failure, RefusedError
from respine.book.paths import Repository, files_below, sha256, write_whole
from respine.book.provenance import ChapterRecord
from respine.book.results_file import RESULTS_FILE, read_results

if TYPE_CHECKING:
    from respine.book.collect import Collected
    from respine.trial import CheckReport

DATA_ALIAS = "dataset"
"""What chapters are told of a data set outside the repository; its place is in the environment, RESPINE_DATA."""
FINDINGS_FILE = "findings.csv"
CHANGES_PAGE = "changes.html"
"""The page of what changed, in the report's HTML."""
_CHECK = "data-check"
_ASSETS = ("_static", "images")


class DataRefusedError(RefusedError):
    """A data set with errors; ``report`` has all of them, ``listed`` is the file that lists them."""

    def __init__(self, report: CheckReport, listed: Path) -> None:
        super().__init__(report.summary())
        self.report = report
        self.listed = listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be built.

    Parameters
    ----------
    repository
        The book.
    out
        Where the report goes.
    overrides
        Parameters that differ from the chapters' defaults, validated; ``data`` is not among them.
    data
        The data set, where it is not the chapters' own.
    engine, jobs, timeout
        See :class:`respine.book.execute.Run`.
    force
        Execute every chapter, whatever the cache holds.
    since
        An earlier report, or its results; the new one then has a page of what changed.
    """

    repository: Repository
    out: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    data: Path | None = None
    engine: Engine = "forked"
    jobs: int = 2
    timeout: int = CELL_SECONDS
    force: bool = False
    since: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The chapters with everything they depend on."""

    chapters: tuple[Chapter, ...]
    overrides: Mapping[str, Any]
    data: Path
    external: bool
    world: World
    inputs: Mapping[str, Inputs]
    pages: tuple[Path, ...]
    stamps: Mapping[Path, tuple[int, int] | None]
    """Size and time of every file that chapters may read, taken before anything was hashed."""

    @property
    def key(self) -> str:
        """One hash of everything that decides what the report holds."""
        package = {path.relative_to(PACKAGE).as_posix(): sha256(path) for path in files_below(PACKAGE)}
        return digest(
            {
                "chapters": {name: inputs.key() for name, inputs in self.inputs.items()},
                "pages": {self.world.repository.relative(path): sha256(path) for path in self.pages},
                "package": {name: value for name, value in package.items() if not name.endswith(".pyc")},
                "tables": dict(self.world.tables),
                "versions": dict(self.world.versions),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build did."""

    out: Path
    executed: tuple[str, ...]
    cached: tuple[str, ...]
    current: bool
    n_results: int
    n_warnings: int
    seconds: float


def make_plan(repository: Repository, overrides: Mapping[str, Any] | None = None, data: Path | None = None) -> Plan:
    """Read the book and hash everything its chapters depend on; imports nothing heavy."""
    chapters = read_chapters(repository)
    told, folder = _data_of(repository, chapters, data)
    tables = data_files(folder) if folder.exists() else []
    stamps = _stamps([*tables, *files_below(repository.published), *(c.path for c in chapters)])
    modules = _stamps([path for path in files_below(PACKAGE) if path.suffix == ".py"])
    values = {**(overrides or {}), "data": told} if data is not None else dict(overrides or {})
    world = survey(repository, folder)
    inputs = {chapter.name: world.inputs(chapter, values) for chapter in chapters}
    imported = {name for each in inputs.values() for name in each.modules}
    return Plan(
        chapters=chapters,
        overrides=values,
        data=folder,
        external=told == DATA_ALIAS,
        world=world,
        inputs=inputs,
        pages=tuple(_page_files(repository)),
        stamps=stamps | {path: stamp for path, stamp in modules.items() if module_name(path) in imported},
    )


def _stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _require_unchanged(repository: Repository, plan: Plan) -> None:
    """Fail if what chapters read has changed since it was hashed: their outputs would be kept under a wrong name."""
    changed = next((path for path, stamp in plan.stamps.items() if _stamp(path) != stamp), None)
    if changed is not None:
        raise BuildFailedError(f"{repository.relative(changed)} was changed while the chapters ran: build again")


def _data_of(repository: Repository, chapters: tuple[Chapter, ...], data: Path | None) -> tuple[str, Path]:
    if data is not None:
        folder = data.resolve()
        inside = folder.is_relative_to(repository.root)
        return (folder.relative_to(repository.root).as_posix() if inside else DATA_ALIAS), folder
    defaults = {str(c.parameters["data"]) for c in chapters if "data" in c.parameters}
    if len(defaults) > 1:
        raise RefusedError(f"chapters name different data sets: {', '.join(sorted(defaults))}")
    if not defaults:
        from respine.parameters import Parameters

        defaults = {str(Parameters.model_fields["data"].default)}
    told = defaults.pop()
    return told, (repository.root / told).resolve()


def _page_files(repository: Repository) -> list[Path]:
    """Everything the renderer reads but the executed notebooks, and those too as they are committed."""
    pages = [page_path(repository, name) for name in page_names(repository)]
    settings = [path for path in (repository.root / "_config.yml", repository.toc) if path.is_file()]
    assets = [path for name in _ASSETS for path in files_below(repository.root / name)]
    return [*settings, *pages, *sorted(repository.root.glob("*.bib")), *assets, *files_below(repository.published)]


def build(request: Request, progress: Progress = silent, say: Callable[[str], None] = lambda text: None) -> Built:
    """Make the report, or find that it is up to date.

    Raises
    ------
    RefusedError
        The data set has errors, or the request cannot be met.
    BuildFailedError
        Chapters failed or the book could not be rendered. In either case the report published before is untouched.
    """
    start = time.monotonic()
    repository, out = request.repository, request.out.resolve()
    with transaction.one_at_a_time(repository.scratch, say):
        transaction.recover(out)
        plan = make_plan(repository, request.overrides, request.data)
        transaction.check_target(out, (repository.root, plan.data, *(c.path for c in plan.chapters)))
        for name in plan.overrides:
            if not any(name in chapter.parameters for chapter in plan.chapters):
                say(f"note: no chapter takes the parameter {name}")
        key = plan.key if request.since is None else digest([plan.key, sha256(_earlier(request.since, out))])
        if not request.force and _is_current(out, key):
            names = tuple(chapter.name for chapter in plan.chapters)
            return Built(
                out=out, executed=(), cached=names, current=True, n_results=0, n_warnings=0,
                seconds=time.monotonic() - start,
            )  # fmt: skip
        try:
            with transaction.staging(out) as stage:
                built = _build_aside(request, plan, key, stage, start, progress, say)
                transaction.publish(stage / "report", out)
        except OSError as error:
            raise BuildFailedError(f"{error.strerror or error}: {error.filename or out}") from error
    return built


def _earlier(since: Path, out: Path) -> Path:
    """The results of the earlier report."""
    file = (since / RESULTS_FILE if since.is_dir() else since).resolve()
    if file.is_relative_to(out):
        raise RefusedError(
            f"--since {since} is the report that this build replaces: keep a copy of it, or of {file.name}"
        )
    if not file.is_file():
        raise RefusedError(f"--since {since}: there is no {RESULTS_FILE}")
    return file


def _is_current(out: Path, key: str) -> bool:
    run = provenance.read_run(out)
    return run is not None and run.get("key") == key and provenance.verify(out).intact


def _build_aside(
    request: Request,
    plan: Plan,
    key: str,
    stage: Path,
    start: float,
    progress: Progress,
    say: Callable[[str], None],
) -> Built:
    repository = request.repository
    source, report = stage / "source", stage / "report"
    report.mkdir()
    entries, executed, findings = run_chapters(request, plan, progress)
    _copy_sources(repository, plan, source, entries)
    say("rendering HTML and PDF")
    earlier = None if request.since is None else _earlier(request.since, request.out)
    n_results = _render(plan, source, report, earlier)
    for chapter in plan.chapters:
        target = report / "notebooks" / f"{chapter.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / f"{chapter.name}.ipynb", target)
    n_warnings = max(0, findings.count("\n") - 1)
    if n_warnings:
        (report / FINDINGS_FILE).write_text(findings, encoding="utf-8", newline="")
    records = tuple(
        ChapterRecord(chapter=name, key=inputs.key(), seconds=entries[name].seconds, cached=name not in executed)
        for name, inputs in plan.inputs.items()
    )
    run = provenance.describe_run(
        repository,
        report,
        key=key,
        inputs=provenance.input_hashes(repository, list(plan.pages), plan.world.tables)
        | ({"results of the earlier report": sha256(earlier)} if earlier else {}),
        parameters=_parameters(plan),
        versions=plan.world.versions,
        chapters=records,
        seconds=time.monotonic() - start,
    )
    provenance.write_run(report, run)
    return Built(
        out=request.out,
        executed=executed,
        cached=tuple(name for name in plan.inputs if name not in executed),
        current=False,
        n_results=n_results,
        n_warnings=n_warnings,
        seconds=time.monotonic() - start,
    )


def _parameters(plan: Plan) -> dict[str, Any]:
    """Every parameter that some chapter takes, as it was used."""
    return {name: value for inputs in plan.inputs.values() for name, value in inputs.parameters.items()}


def run_chapters(request: Request, plan: Plan, progress: Progress) -> tuple[dict[str, Entry], tuple[str, ...], str]:
    """Check the data and execute what is stale: every chapter's run, the names executed, the findings as CSV."""
    cache = Cache(request.repository.scratch / "cache")
    entries: dict[str, Entry] = {}
    for name, inputs in plan.inputs.items():
        entry = None if request.force else cache.load(name, inputs.key())
        if entry is not None:
            entries[name] = entry
        progress(name, "cached" if entry else "waiting")
    stale = [chapter for chapter in plan.chapters if chapter.name not in entries]
    if not stale:
        return entries, (), check_data(request.repository, plan, cache)
    run = Run(
        root=request.repository.root,
        data=plan.data if plan.external else None,
        engine=request.engine,
        jobs=min(request.jobs, len(stale)),
        timeout=request.timeout,
        preload=preload(stale, plan.world.sources),
    )
    failures: list[Failure] = []

    def finished(outcome: Outcome) -> None:
        name = outcome.chapter.name
        if outcome.failure is None:
            _require_unchanged(request.repository, plan)
            entry = Entry(plan.inputs[name], outcome.seconds, _text(outcome.notebook))
            cache.store(name, entry)
            entries[name] = entry
        else:
            failures.append(_kept(request.repository, outcome))

    with kernels(run):
        findings = check_data(request.repository, plan, cache, share=True)
        work = [(chapter, taken(chapter, plan.overrides)) for chapter in stale]
        # The longest first, so that none is left over at the end; one never run before may be the longest.
        work.sort(key=lambda job: -cache.seconds(job[0].name))
        execute(work, run, progress, finished)
    if failures:
        order = list(plan.inputs)
        failures.sort(key=lambda failure: order.index(failure.chapter))
        count = f"{len(failures)} of {len(stale)} chapters failed"
        raise BuildFailedError(count, tuple(failures))
    return entries, tuple(chapter.name for chapter in stale), findings


@dataclass(frozen=True, slots=True)
class ChapterState:
    """Whether a build would execute a chapter, and what has changed since the run that is closest."""

    chapter: str
    stale: bool
    why: list[str]


def chapter_states(repository: Repository, plan: Plan) -> list[ChapterState]:
    """The state of every chapter, in reading order."""
    cache = Cache(repository.scratch / "cache")
    states = []
    for name, inputs in plan.inputs.items():
        if cache.load(name, inputs.key()) is not None:
            states.append(ChapterState(name, False, []))
            continue
        # Of the runs that are kept, on other data perhaps, the one that is closest says what has changed.
        changes = [inputs.changes_since(run.inputs) for run in cache.runs(name)]
        # Without a difference, the entry itself is what is gone: deleted or damaged.
        why = min(changes, key=len) if changes else ["it has not run here before"]
        states.append(ChapterState(name, True, why or ["its cached run is gone or damaged"]))
    return states


def preload(chapters: list[Chapter], sources: Mapping[str, str]) -> tuple[str, ...]:
    """What chapters import, themselves and through the package, so that forked kernels have it from the start."""
    code = [source for chapter in chapters for source, _ in chapter.code]
    modules = imported_modules(code, sources)
    names = {name for text in (*code, *(sources[m] for m in modules)) for name in imported_names(text)}
    foreign = {name for name in names if name.split(".")[0] != PACKAGE.name and name.replace(".", "").isidentifier()}
    return (*sorted(modules), *sorted(foreign))


def check_data(repository: Repository, plan: Plan, cache: Cache, share: bool = False) -> str:
    """The findings about the data set as CSV (empty for none); an unchanged data set is not checked twice.

    With ``share``, the checked trial is kept for the kernels that are started from now on, so that they need not read
    and check the tables again.
    """
    from respine.trial import store

    labels = {name: _label(plan, name) for name in ("treatment", "control")}
    shelf = repository.scratch / "trial"
    made_from = store.origin(plan.data, **labels)
    inputs = Inputs(
        code=_CHECK,
        parameters=labels,
        tables={name: value for name, value in plan.world.tables.items() if name != "published"},
        modules=module_hashes(
            imported_modules(["import respine.trial.checking"], plan.world.sources),
            plan.world.sources,
            plan.world.beside,
        ),
        versions=plan.world.versions,
    )
    known = cache.load(_CHECK, inputs.key())
    if share:
        os.environ[store.VARIABLE] = str(shelf)
    if known is not None and (not share or store.is_kept(shelf, made_from)):
        return known.text
    from respine.trial import check

    report = check(plan.data, **labels)
    listed = repository.scratch / FINDINGS_FILE
    if report.n_errors:
        report.write_csv(listed)
        raise DataRefusedError(report, listed)
    text = ""
    if report.n_warnings:
        report.write_csv(listed)
        text = listed.read_text(encoding="utf-8")
    if share and report.trial is not None:
        store.keep(report.trial, shelf, made_from)
    cache.store(_CHECK, Entry(inputs, 0.0, text))
    return text


def _label(plan: Plan, name: str) -> str | None:
    default = next((c.parameters[name] for c in plan.chapters if name in c.parameters), None)
    value = plan.overrides.get(name, default)
    return None if value is None else str(value)


def _kept(repository: Repository, outcome: Outcome) -> Failure:
    import dataclasses

    assert outcome.failure is not None
    if outcome.partial is None:
        return outcome.failure
    path = repository.scratch / "failed" / f"{outcome.chapter.name}.ipynb"
    write_whole(path, _text(outcome.partial).encode())
    return dataclasses.replace(outcome.failure, notebook=path)


def _text(notebook: Any) -> str:
    import nbformat

    return str(nbformat.writes(notebook)) + "\n"


def executed_notebook(chapter: Chapter, entry: Entry) -> str:
    """The chapter as it is written now, with the outputs of a run of the same code."""
    import nbformat

    executed = nbformat.reads(entry.text, as_version=4)
    return _text(with_outputs(nbformat.read(chapter.path, as_version=4), executed))


def _copy_sources(repository: Repository, plan: Plan, source: Path, entries: Mapping[str, Entry]) -> None:
    """Everything the renderer reads, with executed notebooks in the chapters' places."""
    for path in plan.pages:
        target = source / path.relative_to(repository.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".ipynb":
            shutil.copyfile(path, target)
    for chapter in plan.chapters:
        text = executed_notebook(chapter, entries[chapter.name])
        (source / f"{chapter.name}.ipynb").write_text(text, encoding="utf-8")


def collect_results(
    request: Request, progress: Progress = silent, say: Callable[[str], None] = lambda text: None
) -> Collected:
    """Execute what is stale and collect the results; no report is made, ``request.out`` is not looked at.

    Raises
    ------
    RefusedError, BuildFailedError
        As :func:`build`.
    """
    repository = request.repository
    with transaction.one_at_a_time(repository.scratch, say):
        plan = make_plan(repository, request.overrides, request.data)
        entries, _, _ = run_chapters(request, plan, progress)
        with tempfile.TemporaryDirectory(dir=repository.scratch) as folder:
            for name, entry in entries.items():
                write_whole(Path(folder, f"{name}.ipynb"), entry.text.encode())
            return _collect(plan, Path(folder))


def _collect(plan: Plan, source: Path) -> Collected:
    from respine.book.collect import collect

    collected = collect({chapter.name: source / f"{chapter.name}.ipynb" for chapter in plan.chapters})
    if collected.problems:
        lines = [f"{p.chapter}, cell {p.cell + 1}: {p.message}" for p in collected.problems]
        raise BuildFailedError("the chapters do not fit together:\n  " + "\n  ".join(lines))
    return collected


def _render(plan: Plan, source: Path, report: Path, earlier: Path | None) -> int:
    """Results, HTML, PDF and what changed since an earlier report into the report; the number of results."""
    from respine.book.render import RenderError, render

    collected = _collect(plan, source)
    try:
        render(source, report, config={"respine_changes": "" if earlier is None else CHANGES_PAGE})
    except RenderError as error:
        text = "\n  ".join(str(warning) for warning in error.warnings)
        raise BuildFailedError(f"the book could not be rendered:\n  {text}") from None
    shutil.rmtree(report / ".sphinx", ignore_errors=True)
    collected.write_csv(report / RESULTS_FILE)
    if earlier is not None:
        _write_changes(earlier, report)
    return len(collected.results)


def _write_changes(earlier: Path, report: Path) -> None:
    from respine.book.diff import compare, html_page, write_csv

    changes = compare(read_results(earlier), read_results(report))
    write_csv(changes, report / "changes.csv")
    page = html_page(changes, "The previous version", "this report")
    (report / "html" / CHANGES_PAGE).write_text(page, encoding="utf-8")
