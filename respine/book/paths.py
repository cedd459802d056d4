"""Where a repository keeps its parts, and files written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from respine.book.failures import RefusedError


@dataclass(frozen=True, slots=True)
class Repository:
    """A folder with a ``_toc.yml`` at its top."""

    root: Path

    @property
    def toc(self) -> Path:
        """Order of the pages."""
        return self.root / "_toc.yml"

    @property
    def published(self) -> Path:
        """The published numbers that chapters compare with."""
        return self.root / "data" / "published"

    @property
    def scratch(self) -> Path:
        """Cache, lock and partly executed notebooks; may be deleted at any time."""
        return self.root / ".respine"

    def relative(self, path: Path) -> str:
        """``path`` from the top, with forward slashes; for people and records, never absolute inside the repository."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def find_repository(start: Path | None = None) -> Repository:
    """The nearest folder at or above ``start`` (default: the working folder) that holds a ``_toc.yml``."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file():
            return Repository(folder)
    raise RefusedError(f"no _toc.yml in {here} or above it: run respine inside the book's repository")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part, whenever the writer is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted by path, hidden files and byte code left out."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found)
