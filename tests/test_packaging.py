"""The project's own files agree with each other: pins, versions, licences, workflows, the Makefile."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from typer.main import get_command

import respine
from respine import cli

TOP = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["dependencies"])}
TEST = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["optional-dependencies"]["test"])}
PYTHONS = [v for v in (f"3.{minor}" for minor in range(8, 20)) if v in SpecifierSet(PROJECT["requires-python"])]

# Where conda-forge's name for a package is not the index's.
CONDA_NAMES = {"matplotlib-base": "matplotlib", "typst-py": "typst"}


def read_yaml(path: str) -> Any:
    return yaml.safe_load((TOP / path).read_text(encoding="utf-8"))


def locked() -> list[tuple[Requirement, list[str]]]:
    """Each requirement of the lock with its hashes."""
    text = (TOP / "requirements.lock").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    entries = []
    for line in lines:
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        entries.append((Requirement(requirement), hashes))
    return entries


def versions(python: str) -> dict[str, str]:
    """Name to version in the lock, for one Python on Linux."""
    marker = {"python_full_version": f"{python}.9", "python_version": python, "sys_platform": "linux"}
    return {
        canonicalize_name(r.name): str(r.specifier).removeprefix("==")
        for r, _ in locked()
        if r.marker is None or r.marker.evaluate(marker)
    }


def project_files() -> Iterator[Path]:
    """The files a clone has, and not what a build or a tool left beside them."""
    built = {"report", "build", "_build", "__pycache__"}
    for folder, subfolders, names in os.walk(TOP):
        subfolders[:] = [
            s
            for s in subfolders
            if s not in built and not s.endswith(".egg-info") and (s[0] != "." or s in {".github", ".ci"})
        ]
        # In a second working tree, .git is a file that says where the first one is.
        yield from (Path(folder, name) for name in names if name != ".git")


# Pins


def test_lock_is_exact_hashed_and_names_no_address() -> None:
    for requirement, hashes in locked():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), f"{requirement} is not pinned"
        assert requirement.url is None
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), requirement
    text = (TOP / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|index|find-links|file:|@ ", text)


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_holds_what_the_project_asks_for(python: str) -> None:
    pins = versions(python)
    for name, requirement in (DIRECT | TEST).items():
        assert name in pins, f"{name} is not in requirements.lock: make lock"
        assert pins[name] in requirement.specifier, f"{requirement}, but the lock has {pins[name]}: make lock"


def test_environment_names_the_same_pins_as_the_lock() -> None:
    environment = read_yaml("environment.yml")
    assert environment["name"] == "respine"
    assert environment["channels"] == ["conda-forge"]
    *conda, last = environment["dependencies"]
    assert conda[:2] == [f"python{PROJECT['requires-python']}", "pip"]
    *pip, own = last["pip"]
    assert own == "-e ."

    pins = versions(PYTHONS[-1])
    found = {}
    for entry in conda[2:] + pip:
        name, pin = entry.split("==")
        found[canonicalize_name(CONDA_NAMES.get(name, name))] = pin
    assert found == {name: pins[name] for name in DIRECT | TEST}


def test_installed_versions_are_the_pinned_ones() -> None:
    """A green run on other versions would prove nothing about the lock."""
    pins = versions(".".join(map(str, sys.version_info[:2])))
    for name in ("numpy", "pandas", "scipy", "statsmodels", "lifelines", "matplotlib", "sphinx", "jupyter-book"):
        assert version(name) == pins[name]


def imported_modules(folder: Path) -> dict[str, Path]:
    """Top-level modules imported anywhere below a folder, each with a file that does so."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = path
    return found


def test_every_import_of_the_package_is_declared() -> None:
    distributions = packages_distributions()
    undeclared = [
        f"{path.relative_to(TOP)} imports {module}"
        for module, path in imported_modules(TOP / "respine").items()
        if module not in sys.stdlib_module_names
        and module != "respine"
        and not DIRECT.keys() & {canonicalize_name(d) for d in distributions.get(module, ())}
    ]
    assert not undeclared, "declare these in pyproject.toml, then make lock"


# Facts told more than once


def test_version_is_told_alike_everywhere() -> None:
    told = {PROJECT["version"], respine.__version__, read_yaml("CITATION.cff")["version"]}
    assert told == {respine.__version__}
    assert f"## {respine.__version__}\n" in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


def test_citation_file_is_complete() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation.keys() >= {"message", "title", "authors", "type", "license"}
    assert citation["license"] == PROJECT["license"]
    assert [r["doi"] for r in citation["references"]] == ["10.1136/ard-2024-225771"]


def test_licences_are_there_and_named() -> None:
    licence = (TOP / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in ("LICENSE", "LICENSE-CC-BY-4.0.md", "CITATION.cff"))


# Words that a reader will type


def make_targets() -> set[str]:
    text = (TOP / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony
    targets = set(phony[1].split())
    assert targets <= set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    return targets


def test_every_make_target_that_is_written_about_exists() -> None:
    targets = make_targets()
    help_text = (TOP / "Makefile").read_text(encoding="utf-8")
    assert targets - {"help"} == set(re.findall(r'@echo "make (\w+) ', help_text))
    for path in (
        "README.md",
        "CONTRIBUTING.md",
        ".ci/run",
        ".github/workflows/test.yml",
        ".github/workflows/publish.yml",
    ):
        text = (TOP / path).read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^|run: )make ([a-z]+)", text, re.MULTILINE)
        assert named, path
        assert set(named) <= targets, path


def test_every_command_of_the_readme_exists() -> None:
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    text = (TOP / "README.md").read_text(encoding="utf-8") + (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
    written = re.findall(r"(?:^|`|&& )respine ([a-z-]+)([^`#\n]*)", text, re.MULTILINE)
    assert {command for command, _ in written} == commands.keys()
    for command, arguments in written:
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", arguments)) <= options, command


def test_pictures_of_the_readme_are_there_and_light() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (TOP / "README.md").read_text(encoding="utf-8"))
    assert pictures
    assert all(0 < (TOP / picture).stat().st_size < 400_000 for picture in pictures)


def test_make_without_a_suitable_python_says_what_to_do(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(TOP / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("cat", "cksum", "make"):
        found = shutil.which(tool)
        assert found, f"{tool} is needed"
        (tools / tool).symlink_to(found)
    # An interpreter that is there but refuses, as version managers leave them on the path.
    (tools / "python3").write_text("#!/bin/sh\nexit 127\n")
    (tools / "python3").chmod(0o755)
    done = subprocess.run(
        [tools / "make", "install"], cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "not found as: python3 python3.13 python3.12 python3.11" in done.stderr
    assert not (tmp_path / ".venv").exists()


# Continuous integration


@pytest.mark.parametrize("name", ["test", "publish"])
def test_workflow_asks_for_little(name: str) -> None:
    workflow = read_yaml(f".github/workflows/{name}.yml")
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), step["uses"]


def test_workflow_covers_every_supported_python() -> None:
    matrix = read_yaml(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    assert all(f"python{v}" in makefile for v in PYTHONS)


def test_ci_script_runs_from_anywhere() -> None:
    script = TOP / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_hooks_fetch_nothing() -> None:
    assert [repo["repo"] for repo in read_yaml(".pre-commit-config.yaml")["repos"]] == ["local"]


def test_sanitiser_leaves_numbers_alone() -> None:
    """Its expressions may hide an address or a Python version, never a result."""
    text = (TOP / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8")
    expressions = re.findall(r"^regex: (.+)$", text, re.MULTILINE)
    assert len(expressions) == 2
    for sample in ("0.77", "5.2 (-11.4 to 21.7)", "37/50 (74%)", "p < 0.001", "3.11", "0x"):
        assert not any(re.search(expression, sample) for expression in expressions)
    assert re.search(expressions[0], "<object at 0x7f3e5c0a1b50>")


# Hygiene


def test_no_file_names_a_path_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.:/$}-])/(?:work|root|tmp|home/\w+|Users/\w+)/\w")
    for path in project_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        found = pattern.search(content.decode("utf-8", errors="replace"))
        assert not found, f"{path.relative_to(TOP)}: {found[0]}"
