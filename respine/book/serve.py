"""The report on this machine's own web server, built again and reloaded whenever something it is made of changes."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from respine.book.build import make_plan
from respine.book.cache import PACKAGE
from respine.book.failures import RefusedError
from respine.book.paths import Repository
from respine.book.provenance import RUN_FILE

ADDRESS = "127.0.0.1"
_VERSION = "/-/version"
_STEP_MS = 200
_STOP_SECONDS = 10
# Only the server adds this; the report on disk never asks anything of anybody.
_SCRIPT = """<script>(() => {{
const shown = "{version}";
setInterval(async () => {{
  try {{
    const answer = await fetch("{path}", {{ cache: "no-store" }});
    if (answer.ok && (await answer.text()) !== shown) location.reload();
  }} catch (error) {{ /* the server has ended */ }}
}}, 1000);
}})();</script>"""
_WAITING = (
    b"<!DOCTYPE html><title>respine</title><body><p>The report is being built. The terminal says more.</p></body>"
)


def version(report: Path) -> str:
    """What changes with every build that replaces the report."""
    try:
        status = (report / RUN_FILE).stat()
    except OSError:
        return "none"
    return f"{status.st_mtime_ns}-{status.st_ino}"


class _Handler(SimpleHTTPRequestHandler):
    """Files of the report's HTML, pages with the script that reloads them."""

    def __init__(self, *arguments: Any, report: Path) -> None:
        self.report = report
        super().__init__(*arguments, directory=str(report / "html"))

    def do_GET(self) -> None:
        """A file, a page with the script, or the report's version."""
        if not self._is_local():
            self.send_error(HTTPStatus.FORBIDDEN, "this server answers to this machine only")
            return
        # Taken before the page is read: a page that is already older then reloads once more.
        current = version(self.report)
        path = Path(self.translate_path(self.path))
        page = path / "index.html" if path.is_dir() else path
        if urlsplit(self.path).path == _VERSION:
            self._send(current.encode(), "text/plain; charset=utf-8")
        elif current == "none":
            self._send(_with_script(_WAITING, current), "text/html; charset=utf-8")
        elif page.suffix == ".html" and page.is_file() and (path == page or self.path.endswith("/")):
            self._send(_with_script(page.read_bytes(), current), "text/html; charset=utf-8")
        else:
            super().do_GET()

    def _is_local(self) -> bool:
        # A page of elsewhere whose name is made to point here must not read the report.
        return (self.headers.get("Host") or "").rpartition(":")[0] in (ADDRESS, "localhost")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal belongs to the build."""


def _with_script(page: bytes, current: str) -> bytes:
    script = _SCRIPT.format(version=current, path=_VERSION).encode()
    before, closing, after = page.rpartition(b"</body>")
    return before + script + closing + after if closing else page + script


@contextlib.contextmanager
def serving(report: Path, port: int) -> Iterator[str]:
    """Serve a report's HTML on this machine while the context lasts; the address.

    Raises
    ------
    RefusedError
        If the port is taken.
    """
    try:
        server = ThreadingHTTPServer((ADDRESS, port), partial(_Handler, report=report))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RefusedError(f"cannot serve on port {port}: {reason}; --port 0 takes a free one") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="server", daemon=True)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watched_folders(repository: Repository, data: Path | None) -> frozenset[Path]:
    """Folders with something in them that a report is made of: pages, chapters, settings, tables, the package."""
    plan = make_plan(repository, data=data)
    files = {*plan.pages, repository.toc, *(chapter.path for chapter in plan.chapters)}
    package = {path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"}
    tables = plan.data if plan.data.is_dir() else plan.data.parent
    return frozenset({PACKAGE, *package, tables, *(path.parent for path in files)})


def serve(
    repository: Repository,
    report: Path,
    data: Path | None,
    command: Sequence[str],
    *,
    port: int,
    say: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Build, serve, and build again at every change, until interrupted or ``stop`` is set.

    Parameters
    ----------
    repository, report, data
        The book, where its report is, and its data set where that is not the chapters' own.
    command
        What builds it. A process of its own: it has the package's code as it is now, not as it was at the start.
    """
    with serving(report, port) as address:
        say(f"{address}   (Ctrl-C ends)")
        folders = watched_folders(repository, data)
        changed = _changes(folders, report, stop)
        # The first answer comes at once and starts the watching, so that no change during a build is missed.
        due = next(changed, None) is not None
        while due:
            _build(command)
            now = _folders_or(folders, repository, data)
            if now != folders:
                folders, changed = now, _changes(now, report, stop)
                due = next(changed, None) is not None
                continue
            due = any(changed)


def _folders_or(before: frozenset[Path], repository: Repository, data: Path | None) -> frozenset[Path]:
    try:
        return watched_folders(repository, data)
    except (RefusedError, OSError):  # half-written, or gone for a moment; the build has said so
        return before


def _changes(folders: frozenset[Path], report: Path, stop: threading.Event | None) -> Iterator[bool]:
    """At once and then every moment, whether something has changed; ends with ``stop``."""
    from watchfiles import DefaultFilter, watch

    usual = DefaultFilter()

    def matters(change: Any, path: str) -> bool:
        name = Path(path).name
        ours = name == report.name or name.startswith((f"{report.name}.partial-", f"{report.name}.old-"))
        return usual(change, path) and not name.startswith(".") and not (ours and Path(path).parent == report.parent)

    there = sorted(folder for folder in folders if folder.is_dir())
    found = watch(
        *there,
        watch_filter=matters,
        recursive=False,
        step=_STEP_MS,
        rust_timeout=_STEP_MS,
        yield_on_timeout=True,
        stop_event=stop,
    )
    return (bool(changes) for changes in found)


def _build(command: Sequence[str]) -> None:
    # A group of its own: Ctrl-C reaches this process alone, which then ends the build in good order.
    process = subprocess.Popen(command, process_group=0)
    try:
        process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
