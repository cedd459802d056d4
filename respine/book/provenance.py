"""Where a report comes from: ``run.json``, and whether its files are still those that were built."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import respine
from respine.book.cache import digest
from respine.book.crate import CRATE_FILE, crate_text
from respine.book.failures import RefusedError
from respine.book.paths import Repository, files_below, sha256

RUN_FILE = "run.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterRecord:
    """How a chapter of a report came to be."""

    chapter: str
    key: str
    seconds: float
    cached: bool


def describe_run(
    repository: Repository,
    report: Path,
    *,
    key: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    versions: Mapping[str, str],
    chapters: tuple[ChapterRecord, ...],
    seconds: float,
) -> dict[str, Any]:
    """The content of ``run.json``.

    It and the RO-Crate made of it are the only files of a report with a clock in them; none names a user, host or path.
    """
    return {
        "format": FORMAT,
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "key": key,
        "package": {"name": "respine", "version": package_version(), **commit(repository)},
        "parameters": dict(parameters),
        "inputs": dict(inputs),
        "environment": dict(versions),
        "chapters": [
            {"chapter": c.chapter, "key": c.key, "seconds": round(c.seconds, 3), "cached": c.cached} for c in chapters
        ],
        "outputs": hash_outputs(report),
    }


def write_run(report: Path, run: Mapping[str, Any]) -> None:
    """Write ``ro-crate-metadata.json`` and ``run.json`` into a report; the second has the first's hash too."""
    described = report / CRATE_FILE
    described.write_text(crate_text(run, RUN_FILE), encoding="utf-8", newline="\n")
    run = {**run, "outputs": {**run["outputs"], CRATE_FILE: sha256(described)}}
    (report / RUN_FILE).write_text(_text({**run, "seal": digest(run)}), encoding="utf-8", newline="\n")


def _text(run: Mapping[str, Any]) -> str:
    return json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _sealed(report: Path, run: Mapping[str, Any]) -> bool:
    """Whether ``run.json`` is, to the byte, what was written: its ``seal`` is the hash of all the rest."""
    rest = {name: value for name, value in run.items() if name != "seal"}
    return run.get("seal") == digest(rest) and (report / RUN_FILE).read_bytes() == _text(run).encode()


def read_run(report: Path) -> dict[str, Any] | None:
    """``run.json`` of a report, or None where there is none that can be read."""
    try:
        run = json.loads((report / RUN_FILE).read_bytes())
        return run if isinstance(run, dict) and isinstance(run.get("outputs"), dict) else None
    except (OSError, ValueError):
        return None


def hash_outputs(report: Path) -> dict[str, str]:
    """SHA-256 of every file of a report but ``run.json`` itself."""
    files = (path for path in _all_files(report) if path != report / RUN_FILE)
    return {path.relative_to(report).as_posix(): sha256(path) for path in files}


def _all_files(report: Path) -> list[Path]:
    return sorted(path for path in report.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class Verification:
    """How a report's files differ from what ``run.json`` says of them."""

    files: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing differs."""
        return not (self.changed or self.missing or self.added)


def verify(report: Path) -> Verification:
    """Hash a report's files again and compare with its ``run.json``, and that with its seal."""
    run = read_run(report)
    if run is None:
        raise RefusedError(f"{report} is no report: it has no readable {RUN_FILE}")
    recorded, found = run["outputs"], hash_outputs(report)
    own = () if _sealed(report, run) else (RUN_FILE,)
    return Verification(
        files=len(recorded),
        changed=(*own, *(name for name in recorded if name in found and found[name] != recorded[name])),
        missing=tuple(name for name in recorded if name not in found),
        added=tuple(name for name in found if name not in recorded),
    )


def package_version() -> str:
    """Version of this package, as installed or as the checkout says."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("respine")
    except PackageNotFoundError:
        import tomllib

        pyproject = Path(respine.__file__).resolve().parents[1] / "pyproject.toml"
        return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])


def commit(repository: Repository) -> dict[str, Any]:
    """The commit checked out, and whether files under version control differ from it; nothing outside git."""
    head = _git(repository.root, "rev-parse", "HEAD")
    if head is None:
        return {}
    return {"commit": head, "modified": bool(_git(repository.root, "status", "--porcelain", "--untracked-files=no"))}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        # Optional locks would write into .git while another git runs.
        command = ["git", "--no-optional-locks", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def input_hashes(repository: Repository, pages: list[Path], tables: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of what the report was made from: pages, chapters and settings by path, tables by name."""
    named = {repository.relative(path): sha256(path) for path in pages}
    published = {repository.relative(path): sha256(path) for path in files_below(repository.published)}
    return {**named, **published, **{f"data set: {name}": h for name, h in tables.items() if name != "published"}}
