"""Staleness by content: a chapter runs again when, and only when, something it depends on has changed.

What a chapter depends on is written down as named hashes (:class:`Inputs`), so that a stale chapter can say why.
Entries are files ``<chapter>/<key>.run`` with a header line that holds the inputs and the hash of the rest: a damaged
entry is no entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from respine.book.chapters import Chapter
from respine.book.failures import RefusedError
from respine.book.paths import Repository, files_below, sha256, write_whole

PACKAGE = Path(__file__).resolve().parents[1]
WORKBOOK = ".xlsx"
TABLE_SUFFIXES = (
    ".csv", ".csv.gz", ".parquet", ".xpt", ".sas7bdat", ".sav", ".dta", ".json", ".ndjson", WORKBOOK,
)  # fmt: skip
SETTINGS = ("dataset.yml", "dataset.yaml")
"""What a data set says of itself; the second name is a mistake that the check reports."""
KEPT_PER_CHAPTER = 8
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>\.*[\w.]*)[ \t]+import[ \t]+(?:\((?P<many>[^)]*)\)|(?P<few>[^#\n]*))"
    r"|import[ \t]+(?P<plain>[\w., \t]+))",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that decides what a chapter computes, each part by its hash or value."""

    code: str
    parameters: Mapping[str, Any]
    tables: Mapping[str, str]
    modules: Mapping[str, str]
    versions: Mapping[str, str]

    def key(self) -> str:
        """One hash of all."""
        return digest(asdict(self))

    def changes_since(self, old: Inputs) -> list[str]:
        """What differs from ``old``, one line each."""
        lines = ["the chapter's code"] if self.code != old.code else []
        for what, now, before in (
            ("parameter", self.parameters, old.parameters),
            ("table", self.tables, old.tables),
            ("module", self.modules, old.modules),
            ("version of", self.versions, old.versions),
        ):
            for name in sorted({*now, *before}):
                if now.get(name) == before.get(name) and (name in now) == (name in before):
                    continue
                shown = what in ("parameter", "version of") and name in now and name in before
                change = f": {before[name]} to {now[name]}" if shown else ""
                lines.append(f"{what} {name}{_verb(name, now, before)}{change}")
        return lines


def _verb(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    if name not in before:
        return " added"
    return "" if name in now else " removed"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


Beside = Mapping[str, Mapping[str, str]]
"""Hashes by file name, by folder of the package."""


@dataclass(frozen=True, slots=True)
class World:
    """The hashes that all chapters of one build share."""

    repository: Repository
    data: Path
    tables: Mapping[str, str]
    sources: Mapping[str, str]
    """Module name to source text, of the whole package."""
    beside: Beside
    versions: Mapping[str, str]

    def inputs(self, chapter: Chapter, overrides: Mapping[str, Any]) -> Inputs:
        """What ``chapter`` depends on when it is given ``overrides``."""
        modules = imported_modules([source for source, _ in chapter.code], self.sources)
        return Inputs(
            code=digest(chapter.code),
            parameters={k: _plain(v) for k, v in {**chapter.parameters, **taken(chapter, overrides)}.items()},
            tables={name: value for name, value in self.tables.items() if _reaches(name, chapter)},
            modules=module_hashes(modules, self.sources, self.beside),
            versions=self.versions,
        )


def _reaches(file: str, chapter: Chapter) -> bool:
    """Whether a chapter depends on a file of the data set: on the tables it declares, on what may hold any table."""
    name = file.lower()
    shared = name in (*SETTINGS, "published") or name.endswith(WORKBOOK)
    return shared or chapter.tables is None or name.split(".")[0] in chapter.tables


def taken(chapter: Chapter, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that ``chapter`` takes and that differ from its defaults."""
    return {
        name: value
        for name, value in overrides.items()
        if name in chapter.parameters and _plain(chapter.parameters[name]) != _plain(value)
    }


def _plain(value: Any) -> Any:
    # As it comes back from JSON.
    return list(value) if isinstance(value, tuple) else value


def survey(repository: Repository, data: Path) -> World:
    """Read and hash what chapters may depend on."""
    tables = table_hashes(repository, data)
    return World(repository, data, tables, package_sources(), files_beside(), dependency_versions())


def table_hashes(repository: Repository, data: Path) -> dict[str, str]:
    """Hash of each table of the data set, of its ``dataset.yml``, and of the published numbers as one."""
    if not data.exists():
        raise RefusedError(f"there is no data set at {repository.relative(data)}")
    hashes = {path.name: sha256(path) for path in data_files(data)}
    published = {repository.relative(path): sha256(path) for path in files_below(repository.published)}
    return {**hashes, "published": digest(published)} if published else hashes


def data_files(data: Path) -> list[Path]:
    """Files that the data set is read from: those of a folder, or a workbook and the settings beside it."""
    beside = [path for path in (data if data.is_dir() else data.parent).iterdir() if path.is_file()]
    settings = [path for path in beside if path.name.lower() in SETTINGS]
    tables = [path for path in beside if path.name.lower().endswith(TABLE_SUFFIXES)] if data.is_dir() else [data]
    return sorted({*settings, *tables})


def package_sources() -> dict[str, str]:
    """Source of every module of the package, by dotted name."""
    sources = {}
    for path in files_below(PACKAGE):
        if path.suffix == ".py":
            sources[module_name(path)] = path.read_text(encoding="utf-8")
    return sources


def module_name(path: Path) -> str:
    """Dotted name of a module of the package."""
    parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imported_names(source: str, package: str = "") -> set[str]:
    """Dotted names that a piece of Python imports, at any level; ``package`` resolves relative imports."""
    names: set[str] = set()
    for match in _IMPORT.finditer(source):
        if match["plain"]:
            names |= {name.split(" as ")[0].strip() for name in match["plain"].split(",")}
            continue
        base = match["base"]
        if base.startswith("."):
            level = len(base) - len(base.lstrip("."))
            parents = package.split(".")[: len(package.split(".")) - level + 1]
            base = ".".join([*parents, *filter(None, [base.lstrip(".")])])
        listed = re.sub(r"#[^\n]*", "", match["many"] or match["few"] or "")
        names |= {base, *(f"{base}.{name.split(' as ')[0].strip()}" for name in listed.split(",") if name.strip())}
    return {name for name in names if name}


def imported_modules(code: Iterable[str], sources: Mapping[str, str]) -> set[str]:
    """Modules of the package that ``code`` imports, directly or through other modules."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = {name for text in code for name in imported_names(text)}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        parts = name.split(".")
        if parts[0] != PACKAGE.name:
            continue
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            if module in sources and module not in found:
                found.add(module)
                waiting |= _imports_of(module, sources[module]) - seen
    return found


@cache
def _imports_of(module: str, source: str) -> frozenset[str]:
    is_package = (PACKAGE.parent / Path(*module.split(".")) / "__init__.py").is_file()
    return frozenset(imported_names(source, module if is_package else module.rpartition(".")[0]))


def module_hashes(modules: Iterable[str], sources: Mapping[str, str], beside: Beside) -> dict[str, str]:
    """Hash of each module's source, and of the data files that lie beside it in the package."""
    hashes = {module: _hash(sources[module]) for module in sorted(modules)}
    for folder in sorted({_folder(module) for module in hashes}):
        hashes |= beside.get(folder, {})
    return hashes


@cache
def _hash(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


@cache
def _folder(module: str) -> str:
    path = Path(*module.split("."))
    return (path if (PACKAGE.parent / path).is_dir() else path.parent).as_posix()


def files_beside() -> Beside:
    """Hashes of the files of the package that are no modules."""
    hashes: dict[str, dict[str, str]] = {}
    for path in files_below(PACKAGE):
        if path.suffix not in (".py", ".pyc", ".typed"):
            name = path.relative_to(PACKAGE.parent)
            hashes.setdefault(name.parent.as_posix(), {})[name.as_posix()] = sha256(path)
    return hashes


@cache
def dependency_versions() -> dict[str, str]:
    """Version of Python and of each package that the project declares or its lock pins, as installed.

    Read from the names of the ``dist-info`` folders: opening each package's metadata would take longer than all else
    that the answer "nothing changed" needs.
    """
    installed: dict[str, str] = {}
    for folder in sys.path:
        if not os.path.isdir(folder or "."):
            continue
        for entry in os.listdir(folder or "."):
            stem, dot, kind = entry.rpartition(".")
            if dot and kind == "dist-info":
                name, _, version = stem.partition("-")
                installed.setdefault(_canonical(name), version)
    names = _declared_dependencies() | _locked()
    found = {name: installed[name] for name in sorted(names) if name in installed}
    return {"python": platform.python_version(), **found}


def _locked() -> set[str]:
    """What the declared packages need in turn, as far as the lock says; tools of the tests decide no number."""
    lock, pyproject = PACKAGE.parent / "requirements.lock", PACKAGE.parent / "pyproject.toml"
    if not lock.is_file() or not pyproject.is_file():
        return set()
    import tomllib

    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    tools = {_package(line) for line in project.get("optional-dependencies", {}).get("test", ())}
    pinned = re.findall(r"^([\w.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {_canonical(name) for name in pinned} - tools


def _declared_dependencies() -> set[str]:
    pyproject = PACKAGE.parent / "pyproject.toml"
    if pyproject.is_file():
        import tomllib

        declared = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        from importlib.metadata import requires

        declared = [line for line in requires("respine") or [] if "extra ==" not in line]
    return {_package(line) for line in declared}


def _package(requirement: str) -> str:
    return _canonical(re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached run: what it depended on, how long it took, and the executed notebook's text."""

    inputs: Inputs
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Cache:
    """Executed chapters by content, below one folder."""

    folder: Path

    def load(self, chapter: str, key: str) -> Entry | None:
        """The run with this key, or None where there is none or it is damaged."""
        return self._read(self._path(chapter, key))

    def runs(self, chapter: str) -> Iterator[Entry]:
        """The undamaged runs of a chapter, the most recent first."""
        return filter(None, map(self._read, self._entries(chapter)))

    def has(self, chapter: str, key: str) -> bool:
        """Whether there is a run with this key, undamaged."""
        return self.load(chapter, key) is not None

    def seconds(self, chapter: str) -> float:
        """How long the chapter last took; infinity where that is not known, so that new chapters start first."""
        entry = next(self.runs(chapter), None)
        return entry.seconds if entry else float("inf")

    def store(self, chapter: str, entry: Entry) -> None:
        """Keep a run, and drop the oldest beyond :data:`KEPT_PER_CHAPTER`."""
        content = entry.text.encode()
        header = {
            "inputs": asdict(entry.inputs),
            "seconds": entry.seconds,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        line = json.dumps(header, ensure_ascii=False).encode()
        # The header guards itself too: its own hash stands first.
        sealed = hashlib.sha256(line).hexdigest().encode() + b" " + line + b"\n" + content
        write_whole(self._path(chapter, entry.inputs.key()), sealed)
        for path in self._entries(chapter)[KEPT_PER_CHAPTER:]:
            path.unlink(missing_ok=True)

    def _path(self, chapter: str, key: str) -> Path:
        return self.folder / chapter / f"{key[:32]}.run"

    def _entries(self, chapter: str) -> list[Path]:
        return sorted((self.folder / chapter).glob("*.run"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _read(self, path: Path) -> Entry | None:
        try:
            seal, _, rest = path.read_bytes().partition(b" ")
            line, _, content = rest.partition(b"\n")
            if hashlib.sha256(line).hexdigest().encode() != seal:
                return None
            header = json.loads(line)
            if hashlib.sha256(content).hexdigest() != header["sha256"]:
                return None
            return Entry(Inputs(**header["inputs"]), header["seconds"], content.decode())
        except (OSError, ValueError, KeyError, TypeError):
            return None
