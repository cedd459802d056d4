"""What a build shows while it works: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.table import Table

_SIGNS = {"waiting": " ", "cached": "=", "running": ">", "done": "+", "failed": "x", "stopped": "-"}


class Display:
    """Chapter, state and seconds; a context manager that is also the build's ``progress`` callback."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[str, float, str]] = {}
        self._started: dict[str, float] = {}
        self._live: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, chapter: str, state: str, seconds: float = 0.0, cell: tuple[int, int] | None = None) -> None:
        """Take note of a chapter's state; see :class:`respine.book.execute.Progress`."""
        with self._lock:
            if state == "running":
                self._started.setdefault(chapter, time.monotonic())
            known = chapter in self._rows and self._rows[chapter][0] == state
            where = f"cell {cell[0]} of {cell[1]}" if cell else ""
            self._rows[chapter] = (state, seconds, where)
            if self._live is None and not self._quiet and state not in ("waiting", "cached") and not known:
                took = f" {seconds:.1f} s" if state in ("done", "failed") else ""
                print(f"{_SIGNS[state]} {chapter} {state}{took}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line beside the chapters."""
        if not self._quiet:
            if self._live is not None:
                self._live.console.print(text, markup=False, highlight=False)
            else:
                print(text, file=sys.stderr, flush=True)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        with self._lock:
            for chapter, (state, seconds, where) in self._rows.items():
                took = now - self._started[chapter] if state == "running" else seconds
                shown = f"{took:5.1f} s" if state in ("running", "done", "failed") else ""
                style = {"failed": "red", "done": "green", "running": "bold"}.get(state, "dim")
                table.add_row(f"[{style}]{_SIGNS[state]}[/]", chapter, state, shown, where)
        return table
