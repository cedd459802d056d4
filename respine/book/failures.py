"""What went wrong, in one screen: refusals before anything runs, and chapters that failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PACKAGE_FRAME = re.compile(r"File [^\n]*?\b(respine/[\w/]+\.py):(\d+), in (\w+)")
_CELL_LINE = re.compile(r"Cell In\[\d+\], line (\d+)")


class RefusedError(Exception):
    """Input that cannot be used: wrong parameters, data, folders. Nothing has been changed."""


class BuildFailedError(Exception):
    """A build that could not be finished. The report published before is untouched.

    Parameters
    ----------
    message
        What happened, for people.
    failures
        The chapters that failed, when that is the reason.
    """

    def __init__(self, message: str, failures: tuple[Failure, ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A chapter that did not run to its end.

    Parameters
    ----------
    chapter
        Its page name, ``chapters/response``.
    error, message
        The error's class and text.
    cell_number, cell_id, source
        The cell, counted from 1 over all cells of the chapter; None and empty where no cell is to blame.
    line
        The line of the cell that raised, counted from 1, where the traceback names it.
    traceback
        The kernel's traceback, colours removed.
    notebook
        The partly executed notebook, kept for looking.
    """

    chapter: str
    error: str
    message: str
    cell_number: int | None = None
    cell_id: str = ""
    source: str = ""
    line: int | None = None
    traceback: str = ""
    notebook: Path | None = None

    def report(self) -> str:
        """One screen: where, the lines around, the error, the likely cause and how to look further."""
        lines = [f"{self.chapter} failed: {self.error}"]
        if self.cell_number is not None:
            first = next((text for text in self.source.splitlines() if text.strip()), "")
            lines.append(f"  cell {self.cell_number} (id {self.cell_id}): {_cut(first)}")
            lines += ["", *self._lines_around(), ""]
        lines += [f"  {_cut(text, 160)}" for text in self.message.strip().splitlines()[:12]]
        where = package_frame(self.traceback)
        lines += [f"  raised in {where}"] if where else []
        cause = likely_cause(self.error, self.message)
        if cause:
            lines.append(f"  likely cause: {cause}")
        if self.notebook is not None:
            lines.append(f"  partly executed notebook: {self.notebook}")
            lines.append(f'  open it with: jupyter lab "{self.notebook}"')
        return "\n".join(lines)

    def _lines_around(self) -> list[str]:
        source = self.source.splitlines()
        at = self.line or 1
        first = max(1, min(at - 2, len(source) - 4))
        return [
            f"  {'>' if number == self.line else ' '} {number:>3} | {_cut(text, 120)}"
            for number, text in enumerate(source[first - 1 : first + 4], start=first)
        ]


def failing_line(traceback: str) -> int | None:
    """The line of the cell that a kernel's traceback names, or None."""
    found = _CELL_LINE.search(plain(traceback))
    return int(found.group(1)) if found else None


def package_frame(traceback: str) -> str:
    """The innermost line of this package that a kernel's traceback names; nothing where the cell alone is to blame."""
    frames = _PACKAGE_FRAME.findall(plain(traceback))
    return "{}, line {}, in {}".format(*frames[-1]) if frames else ""


def plain(text: str) -> str:
    """Text without terminal colours."""
    return _ANSI.sub("", text)


_CAUSES = (
    ("CellTimeout", "", "the cell needs longer, or never ends: allow more seconds with --timeout, or mend the cell"),
    ("KernelDied", "", "the kernel was killed: out of memory, or a crash in compiled code"),
    ("StderrOutput", "", "a warning or log line: mend it, or set respine.allow_stderr in the chapter's metadata"),
    ("DataError", "", "the data set breaks the contract: `respine check` lists every violation"),
    ("UnknownResultError", "", "the id was changed, or the analysis that makes the result did not run here"),
    ("ValidationError", "Parameters", "the parameters cell holds a name or value that the plan does not know"),
    ("ModuleNotFoundError", "", "a package is missing from this environment: install the pinned requirements"),
    ("MemoryError", "", "out of memory: build with --jobs 1, or on a larger machine"),
    ("FileNotFoundError", "", "a file the chapter reads is not there; paths start at the repository's top"),
    ("KeyError", "not in index", "a column is missing from a table: compare with `respine check`"),
    ("KeyError", "", "a column, visit or parameter code is missing from a table: compare with `respine check`"),
    ("ValueError", "empty", "no data at the visit or in the set: compare the counts of `respine check`"),
    ("ValueError", "zero-size", "no data at the visit or in the set: compare the counts of `respine check`"),
    ("IndexError", "out of bounds", "no data at the visit or in the set: compare the counts of `respine check`"),
    ("LinAlgError", "", "a design without enough data: a visit, country or subgroup with too few participants"),
)  # fmt: skip


def likely_cause(error: str, message: str) -> str:
    """What most often lies behind an error of this class and text, or nothing."""
    return next((cause for name, part, cause in _CAUSES if name == error and part in message), "")


def _cut(text: str, width: int = 100) -> str:
    from respine.inert import visible

    return visible(text.expandtabs(4), width)
