"""The command line: exit codes, one message a mistake, and nothing heavy before a refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from respine.book import build as building
from respine.book import choices
from respine.book import render as rendering
from respine.book.failures import RefusedError
from respine.book.paths import Repository
from respine.cli import app, main
from tests.book.mini.repository import (
    change_cell,
    environment,
    execute_plainly,
    files,
    make_repository,
    render_plainly,
    write_data,
)

HEAVY = ("pandas", "numpy", "scipy", "papermill", "nbformat", "jupyter_client", "sphinx", "matplotlib", "watchfiles")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(building, "check_data", lambda repository, plan, cache, share=False: "")
    monkeypatch.setattr(rendering, "render", render_plainly)
    root = make_repository(tmp_path / "book")
    monkeypatch.chdir(root / "chapters")
    return root


@pytest.fixture
def respine(root: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leaving:
            main(arguments)
        out, err = capsys.readouterr()
        return int(leaving.value.code or 0), out, err

    return run


def test_build_status_verify_and_build_again(root: Path, respine: Command) -> None:
    out = str(root / "report")
    code, text, progress = respine("build", "--out", out, "--jobs", "2")
    assert code == 0
    assert "3 results; 3 chapters executed, 0 unchanged" in text
    for chapter in ("first", "second", "third"):
        assert f"> chapters/{chapter} running\n" in progress
        assert f"+ chapters/{chapter} done " in progress
    code, text, _ = respine("build", "--out", out)
    assert (code, "nothing has changed" in text) == (0, True)
    assert respine("build", "--out", out, "--quiet") == (0, "", "")
    assert json.loads(respine("build", "--out", out, "--json")[1])["current"]
    assert respine("verify", out)[0] == 0
    (root / "report" / "html" / "first.html").write_text("")
    (root / "report" / "extra").write_text("")
    code, text, _ = respine("verify", out)
    assert (code, text) == (1, "changed: html/first.html\nadded: extra\n")
    assert respine("status")[1].split() == [
        "current",
        "chapters/first",
        "current",
        "chapters/second",
        "current",
        "chapters/third",
    ]
    code, text, _ = respine("status", "--why", "-p", "seed=2")
    assert text.splitlines()[:2] == ["stale    chapters/first", "           parameter seed: 1 to 2"]
    assert json.loads(respine("status", "--json")[1])["chapters/first"] == {"stale": False, "why": []}


def test_a_failing_chapter_is_one_screen_and_exit_1(root: Path, respine: Command) -> None:
    change_cell(root, "second", "count", "a = 1\nb = a / 0")
    code, out, err = respine("build", "--out", str(root / "report"), "--quiet")
    assert (code, out) == (1, "")
    assert "chapters/second failed: ZeroDivisionError" in err
    assert ">   2 | b = a / 0" in err
    assert "1 of 3 chapters failed; the report published before is untouched" in err
    assert "jupyter lab" in err
    assert "Traceback" not in err


REFUSED = [
    (["-p", "sed=1"], "there is no parameter sed; did you mean seed?"),
    (["-p", "nonsense=1"], "`respine parameters` lists them"),
    (["-p", "seed"], "write it as name=value"),
    (["-p", "seed=1", "-p", "seed=2"], "given twice"),
    (["-p", "seed=many"], "seed = 'many': should be a valid integer"),
    (["-p", "seed=yes"], "seed = True: not a number"),
    (["-p", "alpha=0.5"], "alpha = 0.5: should be less than 0.5"),
    (["-p", "alpha=.nan"], "alpha = nan"),
    (["-p", "alpha=[1"], "neither a word, a number nor a [list, of, them]"),
    (["-p", "primary_month=13"], "primary_month = 13"),
    (["-p", "primary_month='12'"], "primary_month = '12': should be 1, 3, 6, 12 or 24"),
    (["-p", "ALPHA=0.1"], "there is no parameter ALPHA; did you mean alpha?"),
    (["-p", "covariates=[AGE]"], "covariates = 'AGE'"),
    (["-p", "covariates=COUNTRY"], "covariates = 'COUNTRY': write a list: [A, B]"),
    (["-p", "covariates=[VASBL, COUNTRY, VASBL]"], "covariates = VASBL, COUNTRY, VASBL: VASBL is given twice"),
    (["-p", "treatment=A", "-p", "control=A"], "name two different arms"),
    (["-p", "delta_max=5"], "is larger than delta_max 5"),
    (["-p", "treatment=msc", "-p", "data=data/tiny"], "the data set's arms are MSC, Sham"),
    (["-p", "treatment=Sham", "-p", "data=data/tiny"], "treatment and control are both 'Sham': set control, too"),
    (["--params", "none.yml"], "No such file"),
    (["--data", "nowhere"], "there is no data set at nowhere"),
    (["-p", "data=nowhere"], "there is no data set at"),
    (["--data", "../data/tiny", "-p", "data=data/tiny"], "named twice"),
    (["--engine", "fast"], "there are forked and papermill"),
    (["--jobs", "0"], "Invalid value for '--jobs'"),
    (["--out", ".."], "would replace"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_refusals_exit_2_with_one_message(root: Path, respine: Command, arguments: list[str], message: str) -> None:
    before = files(root / "data")
    code, out, err = respine("build", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert files(root / "data") == before
    assert not (root / "report").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "name: value"),
        ("a: [", "not valid YAML"),
        ("sed: 1\nalpha: 2\n", "there is no parameter sed"),
        ("\xff", "YAML"),
    ],
)
def test_a_broken_parameter_file_is_refused(root: Path, respine: Command, text: str, message: str) -> None:
    (root / "p.yml").write_bytes(text.encode("latin-1"))
    code, _, err = respine("build", "--params", str(root / "p.yml"))
    assert (code, message in err) == (2, True)


def test_all_mistakes_are_named_at_once(respine: Command) -> None:
    _, _, err = respine("build", "-p", "sed=1", "-p", "alpha=7", "-p", "imputations=1")
    assert err.count("\n") == 3


def listing(modules: tuple[str, ...], root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that says last, on stderr, which of these modules it has imported."""
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('heavy:', *(m for m in {modules} if m in sys.modules), file=sys.stderr))\n"
        "from respine.cli import main\nmain()"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["build", "--help"], ["build", "-p", "sed=1"], ["build", "-p", "alpha=7"], ["diff", "a", "b"],
        ["build", "-p", "treatment=msc", "-p", "data=data/tiny"], ["parameters"], ["status"], ["verify", "nowhere"],
        ["--version"], ["build", "-p", "treatment=Sham", "-p", "data=data/tiny"], ["template", "data"],
        ["scenarios", "nowhere.yml"], ["serve", "-p", "sed=1"], ["check", "nowhere"],
    ],
)  # fmt: skip
def test_help_and_refusals_import_nothing_heavy(root: Path, arguments: list[str]) -> None:
    done = listing(HEAVY, root, *arguments)
    assert done.returncode in (0, 2), done.stderr
    assert done.stderr.splitlines()[-1] == "heavy:"


def test_options_and_a_label_load_no_pydantic(root: Path) -> None:
    """typer from 0.29 on does, whatever the options."""
    arguments = ["--jobs", "2", "-p", "treatment=msc", "--data", "data/tiny"]
    done = listing((*HEAVY, "pydantic"), root, "build", *arguments)
    assert done.returncode == 2
    assert "treatment = msc" in done.stderr
    assert done.stderr.splitlines()[-1] == "heavy:"


def test_nothing_changed_imports_nothing_heavy(root: Path, respine: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "execute", partial(execute_plainly, []))
    monkeypatch.setattr(building, "kernels", lambda run: nullcontext())
    assert respine("build")[0] == 0
    done = listing(HEAVY, root, "build")
    assert "nothing has changed" in done.stdout
    assert done.stderr == "heavy:\n"


def test_every_command_has_help_with_an_example() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
        assert (command.epilog or "").startswith("Example: respine "), command.name


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert (leaving.value.code, capsys.readouterr().out) == (0, f"respine {version('respine')}\n")


def test_the_list_of_commands_cuts_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.split("Commands:")[1].split("Example:")[0]
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_outside_a_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main(["build"])
    assert leaving.value.code == 2
    assert "no _toc.yml" in capsys.readouterr().err


def test_an_unexpected_error_has_a_traceback_only_on_request(
    root: Path, respine: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **chosen: Any) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr(building, "check_data", fail)
    code, _, err = respine("build")
    assert (code, "Traceback" in err) == (1, False)
    assert "RuntimeError: surprise" in err
    with pytest.raises(RuntimeError):
        main(["build", "--debug"])


class TestChoices:
    def choose(self, root: Path, *given: str, file: Path | None = None, data: Path | None = None) -> dict[str, Any]:
        return choices.choose(Repository(root), given, file, data)[0]

    def test_nothing_asked_is_nothing_changed(self, root: Path) -> None:
        assert choices.choose(Repository(root), (), None, None) == ({}, None)

    def test_values_are_typed(self, root: Path) -> None:
        found = self.choose(root, "alpha=1e-2", "seed=3", "subgroups=[SEX, AGE]", "odi_rule=points")
        assert found == {"alpha": 0.01, "seed": 3, "subgroups": ("SEX", "AGE"), "odi_rule": "points"}

    @pytest.mark.parametrize("label", ["NO", "12", "2024-01-01", "MSC 6M", "[x]"])
    def test_labels_stay_text(self, root: Path, label: str) -> None:
        lines = f"USUBJID,TRT01P\n1,{label}\n2,Other\n"
        (root / "data" / "tiny" / "adsl.csv").write_text(lines)
        found = self.choose(root, f"treatment={label}", "control=Other", "data=data/tiny")
        assert found == {"treatment": label, "control": "Other"}

    def test_the_command_line_goes_before_the_file(self, root: Path) -> None:
        file = root / "p.yml"
        file.write_text("seed: 5\nalpha: 0.1\n")
        assert self.choose(root, "seed=6", file=file) == {"seed": 6, "alpha": 0.1}

    def test_data_are_located_once(self, root: Path) -> None:
        asked, folder = choices.choose(Repository(root), ["data=data/tiny"], None, None)
        assert (asked, folder) == ({}, root / "data" / "tiny")
        elsewhere = write_data(root.parent / "elsewhere")
        assert choices.choose(Repository(root), [f"data={elsewhere}"], None, None)[1] == elsewhere

    def test_a_label_the_data_lack_gets_a_suggestion(self, root: Path) -> None:
        with pytest.raises(RefusedError, match="did you mean 'Sham'"):
            self.choose(root, "control=sham", "data=data/tiny")

    def test_every_parameter_is_described(self) -> None:
        rows = {row["name"]: row for row in choices.describe_parameters()}
        assert rows["alpha"]["allowed"] == "above 0, below 0.5"
        assert rows["primary_month"] == {
            "name": "primary_month", "default": 12, "unit": "months", "allowed": "1, 3, 6, 12, 24",
            "help": "visit of the co-primary endpoints",
        }  # fmt: skip
        assert rows["subgroups"]["allowed"].startswith("a list of SEX, AGE")


class TestData:
    """With the real check and simulation: the only tests here that read tables."""

    def test_a_template_goes_into_an_empty_folder_only(self, tmp_path: Path, capsys: Any) -> None:
        for arguments, code in (
            (["template", str(tmp_path / "new"), "--format", "ods"], 2),
            (["template", str(tmp_path / "new")], 0),
            (["template", str(tmp_path / "new")], 2),
        ):
            with pytest.raises(SystemExit) as leaving:
                main(arguments)
            assert int(leaving.value.code or 0) == code
        assert (tmp_path / "new" / "example" / "adsl.csv").is_file()
        assert "--format ods: there are csv and xlsx" in capsys.readouterr().err

    def test_simulate_then_check(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.chdir(tmp_path)

        def run(*arguments: str) -> tuple[int, str, str]:
            with pytest.raises(SystemExit) as leaving:
                main(arguments)
            return int(leaving.value.code or 0), *capsys.readouterr()

        few = ("--n-treatment", "12", "--n-control", "12", "--treatment", "New", "--control", "Old", "--seed", "1")
        assert run("simulate-data", "trial", *few) == (0, "trial: 24 participants randomised, New against Old\n", "")
        assert run("simulate-data", "trial")[0] == 2
        assert run("simulate-data", "other", "--treatment", "A", "--control", "A")[0] == 2
        code, out, _ = run("check", "trial", "--out", "found")
        assert (code, "0 errors" in out or "no findings" in out) == (0, True)
        assert {path.name for path in (tmp_path / "found").iterdir()} == {"findings.csv", "findings.html"}
        (tmp_path / "trial" / "adqs.csv").unlink()
        code, out, _ = run("check", "trial")
        assert (code, "adqs" in out) == (2, True)
        code, out, _ = run("check", "trial", "--json")
        assert json.loads(out)["errors"] >= 1
        assert run("check", "nowhere")[0] == 2
        code, _, err = run("check", "trial", "--out", "/proc/found")
        assert (code, "Traceback" in err, "/proc/found" in err) == (1, False, True)
