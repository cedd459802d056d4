"""Chapters executed by papermill's API, several at a time, into notebooks without clocks or paths."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from respine.book.chapters import INJECTED_TAG, Chapter
from respine.book.failures import Failure, failing_line, plain

Engine = Literal["forked", "papermill"]
CELL_SECONDS = 600
ALLOW_STDERR_TAG = "allow-stderr"
_SHARED_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How chapters are to be run.

    Parameters
    ----------
    root
        Top of the repository; relative data paths start there.
    data
        Folder of a data set outside the repository, known to chapters as ``dataset``.
    engine
        Forked kernels, or papermill's ordinary ones.
    jobs
        Chapters at a time.
    timeout
        Seconds a cell may take, unless its chapter says otherwise.
    preload
        Modules that the process kernels are forked from imports beforehand.
    """

    root: Path
    data: Path | None = None
    engine: Engine = "forked"
    jobs: int = 2
    timeout: int = CELL_SECONDS
    preload: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A chapter that ran: its notebook, or why there is none."""

    chapter: Chapter
    seconds: float
    notebook: Any = None
    failure: Failure | None = None
    partial: Any = None


class Progress(Protocol):
    """Told what happens to each chapter, from several threads."""

    def __call__(self, chapter: str, state: str, seconds: float = 0.0, cell: tuple[int, int] | None = None) -> None:
        """``state`` is ``cached``, ``waiting``, ``running``, ``done``, ``failed`` or ``stopped``."""


def silent(chapter: str, state: str, seconds: float = 0.0, cell: tuple[int, int] | None = None) -> None:
    """No progress display."""


@dataclass(slots=True)
class _Watch:
    """What is known of a notebook while it runs, for the time when papermill gives back nothing but an exception."""

    notebook: Any = None
    cell: int | None = None
    count: int = 0
    on_cell: Callable[[int, int], None] = field(default=lambda index, count: None)

    def started(self, notebook: Any) -> None:
        self.notebook, self.count = notebook, len(notebook.cells)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        self.cell = cell_index
        self.on_cell(cell_index + 1, self.count)


@contextlib.contextmanager
def kernels(run: Run) -> Iterator[None]:
    """Set the environment that kernels get; start what they are forked from; leave nothing running.

    Enter it before other slow work: the imports in the new process then go on meanwhile.
    """
    from respine.book import forked_engine

    # Failures are reported by us; these libraries' lines would cut through the progress display.
    for name in ("papermill", "asyncio", "traitlets"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    before = dict(os.environ)
    located = {"RESPINE_ROOT": str(run.root)} | ({"RESPINE_DATA": str(run.data)} if run.data else {})
    os.environ.pop("RESPINE_DATA", None)
    os.environ.update(forked_engine.kernel_environment(**located))
    try:
        with forked_engine.kernel_source(run.preload if run.engine == "forked" else None):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def execute(
    work: Sequence[tuple[Chapter, Mapping[str, Any]]],
    run: Run,
    progress: Progress = silent,
    finished: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run chapters, in the order given, ``run.jobs`` at a time; call inside :func:`kernels`.

    A failing chapter does not stop the others. ``finished`` is called in this thread as soon as a chapter ends, so that
    what is done stays done when the build is interrupted.
    """
    from respine.book.forked_engine import kill_all

    stopped = threading.Event()
    with ThreadPoolExecutor(max(1, run.jobs), thread_name_prefix="chapter") as pool:
        waiting = {pool.submit(_run_one, chapter, values, run, progress, stopped) for chapter, values in work}
        outcomes: list[Outcome] = []
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for outcome in map(Future.result, done):
                    outcomes.append(outcome)
                    finished(outcome)
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            kill_all()
            raise
    order = {chapter.name: position for position, (chapter, _) in enumerate(work)}
    return sorted(outcomes, key=lambda outcome: order[outcome.chapter.name])


def _run_one(
    chapter: Chapter, values: Mapping[str, Any], run: Run, progress: Progress, stopped: threading.Event
) -> Outcome:
    start = time.monotonic()
    watch = _Watch(on_cell=lambda index, count: progress(chapter.name, "running", cell=(index, count)))
    progress(chapter.name, "running")
    failure: Failure | None = None
    notebook = None
    try:
        if stopped.is_set():
            raise InterruptedError("the build was stopped")
        notebook = normalised(_papermill(chapter, values, run, watch))
        failure = None if chapter.allow_stderr else _stderr_failure(chapter, notebook)
    except Exception as error:
        failure = _failure(chapter, error, watch)
    finally:
        _close_event_loop()
    seconds = time.monotonic() - start
    unfinished = "stopped" if stopped.is_set() else "failed"
    progress(chapter.name, unfinished if failure else "done", seconds)
    if failure is None:
        return Outcome(chapter=chapter, seconds=seconds, notebook=notebook)
    partial = notebook or (normalised(watch.notebook) if watch.notebook is not None else None)
    return Outcome(chapter=chapter, seconds=seconds, failure=failure, partial=partial)


def _close_event_loop() -> None:
    """Close the loop that talking to a kernel has opened in this thread, with its sockets; nobody else does."""
    import asyncio

    try:
        loop = asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:  # none was opened
        return
    loop.close()
    asyncio.set_event_loop(None)


def _papermill(chapter: Chapter, values: Mapping[str, Any], run: Run, watch: _Watch) -> Any:
    # Imported in a thread by whoever comes first; papermill registers engines while it is imported.
    with _SHARED_LOCK:
        import nbformat
        import papermill

        from respine.book import forked_engine

        forked_engine.register()

    engine: dict[str, Any] = {"engine_name": forked_engine.ENGINE}
    if run.engine == "papermill":
        engine = {"engine_name": "nbclient", "kernel_manager_class": forked_engine.IpcKernelManager}
    notebook = nbformat.read(chapter.path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if INJECTED_TAG not in cell.metadata.get("tags", ())]
    return papermill.execute_notebook(
        notebook,
        None,
        parameters={name: list(v) if isinstance(v, tuple) else v for name, v in values.items()},
        kernel_name="python3",
        progress_bar=False,
        execution_timeout=chapter.timeout or run.timeout,
        resources={"metadata": {"path": str(chapter.path.parent)}},
        on_notebook_start=watch.started,
        on_cell_execute=watch.cell_started,
        record_timing=False,
        ipython_hist_file=":memory:",
        shutdown_kernel="immediate",
        **engine,
    )


def normalised(notebook: Any) -> Any:
    """A copy without what differs from run to run: papermill's records, times, random ids, the Python version."""
    from papermill.execute import remove_error_markers

    notebook = remove_error_markers(copy.deepcopy(notebook))
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    count = 0
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type != "code":
            continue
        if INJECTED_TAG in cell.metadata.get("tags", ()):
            cell["id"] = INJECTED_TAG
        if cell.get("execution_count") is not None:
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = _with_whole_streams(cell.outputs)
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output["execution_count"] = count
    return notebook


def _with_whole_streams(outputs: Sequence[Any]) -> list[Any]:
    """What a cell printed as one output each of stdout and stderr: in how many pieces it came is chance.

    nbclient can do this, too, but searches the text for returns and backspaces in a time that grows with its square: a
    line of some megabytes would stop the build for good.
    """
    streams: dict[str, list[Any]] = {}
    for output in outputs:
        if output.output_type == "stream":
            streams.setdefault(output.name, []).append(output)
    later = {id(output) for pieces in streams.values() for output in pieces[1:]}
    for first, *rest in streams.values():
        first["text"] = "".join([first.text, *(output.text for output in rest)])
    return [output for output in outputs if id(output) not in later]


def with_outputs(source: Any, executed: Any) -> Any:
    """The chapter as it is now (its prose may have changed since) with the code cells of a cached run."""
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    merged = copy.deepcopy(source)
    cells: list[Any] = []
    for cell in merged.cells:
        if cell.cell_type != "code":
            cells.append(cell)
        elif INJECTED_TAG not in cell.metadata.get("tags", ()):
            match = ran.pop(0)
            cell["outputs"], cell["execution_count"] = match["outputs"], match["execution_count"]
            cells.append(cell)
            while ran and INJECTED_TAG in ran[0].metadata.get("tags", ()):
                cells.append(ran.pop(0))
    merged.cells = cells
    return normalised(merged)


def _stderr_failure(chapter: Chapter, notebook: Any) -> Failure | None:
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or ALLOW_STDERR_TAG in cell.metadata.get("tags", ()):
            continue
        text = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")
        if text:
            return _cell_failure(chapter, notebook, index, "StderrOutput", plain(text))
    return None


def _failure(chapter: Chapter, error: Exception, watch: _Watch) -> Failure:
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import remove_error_markers

    if watch.notebook is not None:
        remove_error_markers(watch.notebook)  # papermill's added cells would shift the numbers
    if isinstance(error, PapermillExecutionError):
        traceback = plain("\n".join(error.traceback))
        return _cell_failure(chapter, watch.notebook, watch.cell, error.ename, plain(error.evalue), traceback=traceback)
    if isinstance(error, CellTimeoutError):
        return _cell_failure(chapter, watch.notebook, watch.cell, "CellTimeout", "the cell took longer than allowed")
    if isinstance(error, DeadKernelError):
        return _cell_failure(chapter, watch.notebook, watch.cell, "KernelDied", "the kernel ended in this cell")
    return Failure(chapter=chapter.name, error=type(error).__name__, message=str(error))


def _cell_failure(
    chapter: Chapter, notebook: Any, index: int | None, error: str, message: str, traceback: str = ""
) -> Failure:
    if notebook is None or index is None:
        return Failure(chapter=chapter.name, error=error, message=message, traceback=traceback)
    cell = notebook.cells[index]
    return Failure(
        chapter=chapter.name,
        error=error,
        message=message,
        cell_number=index + 1,
        cell_id=cell.get("id", ""),
        source=cell.source,
        line=failing_line(traceback),
        traceback=traceback,
    )
