"""Chapters executed: the same outputs by forked and ordinary kernels, and failures that say where."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from respine.book import execute as executing
from respine.book.build import preload
from respine.book.cache import package_sources
from respine.book.chapters import Chapter, page_names, read_chapter, read_chapters, select
from respine.book.execute import Outcome, Run, execute, kernels, normalised, with_outputs
from respine.book.failures import RefusedError, package_frame
from respine.book.paths import Repository
from tests.book.mini.repository import change_cell, environment, make_repository, processes_naming, write_chapter

GOOD = "first", "second", "third"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_repository(tmp_path_factory.mktemp("mini") / "a folder {with} marks")
    write_chapter(root, "raises", "x = 1\n\n\ny = 2\nz = {}['AVAL']\nw = 3\nv = 4")
    write_chapter(root, "dies", "import os\nos.kill(os.getpid(), 9)")
    write_chapter(root, "sleeps", "import time\nprint('before', flush=True)\ntime.sleep(60)", timeout=1)
    write_chapter(root, "warns", "import sys\nprint('careful', file=sys.stderr)")
    write_chapter(root, "may_warn", "import sys\nprint('careful', file=sys.stderr)", allow_stderr=True)
    write_chapter(root, "spawns", "import subprocess\nsubprocess.Popen(['sleep', '60'])\n1")
    write_chapter(
        root, "shouts", "import sys\nfor _ in range(9):\n    print('y' * 300_000, end='', flush=True)\nprint()"
    )
    write_chapter(root, "told", "print(alpha, covariates)")
    change_cell(root, "told", "parameters", "data = 'data/tiny'\nalpha = 0.05\ncovariates = ('COUNTRY',)")
    return root


def read(root: Path, *names: str) -> list[Chapter]:
    return [read_chapter(f"chapters/{name}", root / "chapters" / f"{name}.ipynb") for name in names]


def run(root: Path, engine: str, *names: str) -> dict[str, Outcome]:
    how = Run(root=root, engine=engine, jobs=2)  # type: ignore[arg-type]
    values = {"chapters/told": {"alpha": 0.1, "covariates": ("COUNTRY", "ODIBL")}}
    with kernels(how):
        outcomes = execute([(chapter, values.get(chapter.name, {})) for chapter in read(root, *names)], how)
        deadline = time.monotonic() + 5
        while list(processes_naming(str(root / "chapters"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not list(processes_naming(str(root / "chapters"))), "a kernel, or what it started, is still there"
    return {outcome.chapter.path.stem: outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def forked(root: Path) -> dict[str, Outcome]:
    return run(root, "forked", *GOOD, "told", "shouts", "spawns", "raises", "dies", "sleeps", "warns", "may_warn")


@pytest.fixture(scope="module")
def cold(root: Path) -> dict[str, Outcome]:
    return run(root, "papermill", *GOOD)


def test_forked_and_ordinary_kernels_give_the_same_bytes(forked: dict[str, Outcome], cold: dict[str, Outcome]) -> None:
    for name in GOOD:
        assert forked[name].failure is None
        assert nbformat.writes(forked[name].notebook) == nbformat.writes(cold[name].notebook)


def test_outputs_and_counts_are_there(forked: dict[str, Outcome]) -> None:
    notebook = forked["first"].notebook
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3]
    result, text = notebook.cells[3].outputs
    assert result.metadata["respine"]["results"][0]["value"] == 5
    assert text.text == "seed 1\n"


def test_no_clock_path_or_random_id_is_left(root: Path, forked: dict[str, Outcome]) -> None:
    text = nbformat.writes(forked["third"].notebook)
    assert "papermill" not in text
    assert "start_time" not in text
    assert str(root) not in text
    assert forked["third"].notebook.metadata["language_info"] == {"name": "python"}


def test_what_is_printed_in_pieces_is_one_output_however_long(forked: dict[str, Outcome]) -> None:
    (output,) = forked["shouts"].notebook.cells[3].outputs
    assert (output.name, len(output.text)) == ("stdout", 9 * 300_000 + 1)


def test_a_failure_in_the_package_names_the_line_there() -> None:
    trace = (
        "Cell In[3], line 1\n----> 1 analyse(study)\n\nFile ~/a b/respine/analyses/response.py:120, in analyse(study)\n"
        "File ~/x/site-packages/pandas/core/frame.py:3, in __getitem__(self, key)"
    )
    assert package_frame(trace) == "respine/analyses/response.py, line 120, in analyse"
    assert package_frame("Cell In[3], line 1") == ""


def test_parameters_are_injected_after_the_parameters_cell(forked: dict[str, Outcome]) -> None:
    notebook = forked["told"].notebook
    injected = notebook.cells[2]
    assert (injected["id"], injected.metadata["tags"]) == ("injected-parameters", ["injected-parameters"])
    assert "alpha = 0.1" in injected.source
    assert notebook.cells[4].outputs[0].text == "0.1 ['COUNTRY', 'ODIBL']\n"


def test_outputs_of_an_earlier_run_join_the_prose_of_today(forked: dict[str, Outcome]) -> None:
    source = nbformat.read(forked["first"].chapter.path, as_version=4)
    source.cells.insert(1, nbformat.v4.new_markdown_cell("A new paragraph.", id="new"))
    merged = with_outputs(source, forked["first"].notebook)
    assert [cell["id"] for cell in merged.cells] == ["question", "new", "parameters", "setup", "count", "prose"]
    assert merged.cells[4].outputs == forked["first"].notebook.cells[3].outputs


def test_normalising_twice_changes_nothing(forked: dict[str, Outcome]) -> None:
    once = forked["first"].notebook
    assert nbformat.writes(normalised(once)) == nbformat.writes(once)


def test_a_raising_cell_is_shown_with_its_lines_and_cause(forked: dict[str, Outcome]) -> None:
    failure = forked["raises"].failure
    assert failure is not None
    assert (failure.error, failure.cell_number, failure.cell_id, failure.line) == ("KeyError", 4, "count", 5)
    report = failure.report()
    assert "chapters/raises failed: KeyError" in report
    assert ">   5 | z = {}['AVAL']" in report
    assert "    3 |" in report
    assert "    7 | v = 4" in report
    assert "2 |" not in report
    assert "likely cause: a column, visit or parameter code is missing" in report
    assert len(forked["raises"].partial.cells) == 5


def test_a_dead_kernel_is_named(forked: dict[str, Outcome]) -> None:
    failure = forked["dies"].failure
    assert failure is not None
    assert (failure.error, failure.cell_id) == ("KernelDied", "count")


def test_a_timeout_is_named_and_what_ran_is_kept(forked: dict[str, Outcome]) -> None:
    failure = forked["sleeps"].failure
    assert failure is not None
    assert failure.error == "CellTimeout"
    assert forked["sleeps"].partial.cells[3].outputs[0].text == "before\n"


def test_stderr_is_an_error_unless_the_chapter_allows_it(forked: dict[str, Outcome]) -> None:
    failure = forked["warns"].failure
    assert failure is not None
    assert (failure.error, failure.message) == ("StderrOutput", "careful\n")
    assert forked["may_warn"].failure is None


def test_ending_early_leaves_no_process_and_keeps_what_is_done(root: Path) -> None:
    how = Run(root=root, jobs=2)
    done: list[str] = []

    def stop(outcome: Outcome) -> None:
        done.append(outcome.chapter.path.stem)
        raise KeyboardInterrupt

    write_chapter(root, "long", "import time\ntime.sleep(60)")
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), kernels(how):
        execute([(chapter, {}) for chapter in read(root, "long", "first")], how, finished=stop)
    assert done == ["first"]
    assert time.monotonic() - start < 30
    assert not list(processes_naming(str(root)))


JUPYTER = """
import os
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3", cwd=os.getcwd())
def run(code):
    said = []
    client.execute_interactive(code, output_hook=lambda message: said.append(message["content"].get("text", "")))
    return "".join(said).strip()
print(type(manager.provisioner).__name__, run("import sys; print('colorsys' in sys.modules)"))
print(run("import os; print(os.getcwd())") == os.getcwd())
manager.restart_kernel(now=True)
client.wait_for_ready(30)
print(run("print(1 + 1)"))
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def test_jupyter_and_nbval_get_forked_kernels_by_name(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    write_chapter(root, "first", "import colorsys")  # in no kernel unless a chapter of the book imports it
    folder = root / "chapters"
    for name, answer in (("respine-forked", "ForkedProvisioner True"), ("local-provisioner", "LocalProvisioner False")):
        env = environment({"JUPYTER_DEFAULT_PROVISIONER_NAME": name})
        command = [sys.executable, "-c", JUPYTER]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
        assert done.stdout.splitlines() == [answer, "True", "2"], done.stderr
    deadline = time.monotonic() + 5
    while list(processes_naming(str(folder))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(processes_naming(str(folder)))


def test_environment_is_given_back(root: Path) -> None:
    before = dict(os.environ)
    with kernels(Run(root=root, data=root, engine="papermill")):
        assert os.environ["RESPINE_DATA"] == str(root)
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


def test_what_the_package_imports_starts_no_thread_before_the_fork(root: Path) -> None:
    # Forks of a process with threads may hang: everything the package imports must stay single-threaded.
    from respine.book.forked_engine import Zygote

    names = preload([chapter_importing(root, "from respine.analyses import study")], package_sources())
    assert "pandas" in names
    zygote = Zygote(names)
    try:
        assert zygote.usable()
    finally:
        zygote.close()


def chapter_importing(root: Path, code: str) -> Chapter:
    return read_chapter("chapters/imports", write_chapter(root, "imports", code))


class TestChapters:
    def test_order_is_that_of_the_contents(self, root: Path) -> None:
        repository = Repository(root)
        assert page_names(repository) == ("index", "chapters/first", "chapters/second", "chapters/third")
        assert [chapter.path.stem for chapter in read_chapters(repository)] == list(GOOD)

    def test_parts_and_sections_are_read_in_order(self, tmp_path: Path) -> None:
        (tmp_path / "_toc.yml").write_text(
            "root: a\nparts:\n- caption: One\n  chapters:\n  - file: b.md\n    sections:\n    - file: c\n  - url: x\n"
            "- chapters:\n  - file: d.ipynb\n"
        )
        assert page_names(Repository(tmp_path)) == ("a", "b", "c", "d")

    @pytest.mark.parametrize("toc", ["", "root: [", "chapters: []", "root: a\nchapters: [{file: b}, {file: b}]"])
    def test_a_broken_table_of_contents_is_refused(self, tmp_path: Path, toc: str) -> None:
        (tmp_path / "_toc.yml").write_text(toc)
        with pytest.raises(RefusedError, match=r"_toc\.yml"):
            page_names(Repository(tmp_path))

    def test_declarations_are_read(self, root: Path) -> None:
        (chapter,) = read(root, "second")
        assert chapter.parameters == {"data": "data/tiny", "alpha": 0.05, "covariates": ("COUNTRY",)}
        assert chapter.tables == {"adsl", "adqs"}

    def test_a_parameters_cell_that_computes_is_refused(self, root: Path) -> None:
        write_chapter(root, "computes", "1")
        change_cell(root, "computes", "parameters", "seed = 1 + int('2')")
        with pytest.raises(RefusedError, match="parameters cell"):
            read(root, "computes")

    def test_chapters_are_chosen_by_any_of_their_names(self, root: Path) -> None:
        chapters = read_chapters(Repository(root))
        wanted = ("third", "chapters/first.ipynb")
        assert [chapter.path.stem for chapter in select(chapters, wanted)] == ["first", "third"]
        with pytest.raises(RefusedError, match="there are first, second, third"):
            select(chapters, ("fourth",))


def test_a_thread_closes_the_loop_that_talking_to_a_kernel_opened() -> None:
    from jupyter_core.utils import ensure_event_loop

    def talk() -> asyncio.AbstractEventLoop:
        loop = ensure_event_loop()
        executing._close_event_loop()
        executing._close_event_loop()  # without one, nothing is to be done
        return loop

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(talk).result().is_closed()
