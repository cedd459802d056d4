"""The local server: pages that reload, built again at a change, and gone without a trace at the end."""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from respine.book.failures import RefusedError
from respine.book.paths import Repository
from respine.book.serve import serve, serving, version, watched_folders
from tests.book.mini.repository import make_repository, processes_naming, start_build, write_data

# Stands for the build: the report is index.md and the chapters' sizes; a note of each run lies beside it.
BUILD = """
import pathlib, sys
root, report = map(pathlib.Path, sys.argv[1:])
(report / "html").mkdir(parents=True, exist_ok=True)
(report / "html" / "index.html").write_text("<html><body>" + (root / "index.md").read_text() + "</body></html>")
(report / "run.json.new").write_text("{}")
(report / "run.json.new").replace(report / "run.json")
with (root / ".ran").open("a") as ran: ran.write("x")
"""


def get(address: str, path: str = "/", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "report" / "html" / "chapters").mkdir(parents=True)
    (tmp_path / "report" / "html" / "index.html").write_text("<html><body>page</body></html>")
    (tmp_path / "report" / "html" / "chapters" / "a.html").write_text("<p>no body")
    (tmp_path / "report" / "html" / "a.css").write_text("p {}")
    (tmp_path / "report" / "run.json").write_text("{}")
    return tmp_path / "report"


@pytest.fixture
def address(report: Path) -> Iterator[str]:
    with serving(report, 0) as address:
        yield address


def test_pages_get_the_script_and_the_disk_does_not(report: Path, address: str) -> None:
    for path in ("/", "/index.html", "/index.html?x#y"):
        status, page = get(address, path)
        assert status == 200
        assert page.startswith("<html><body>page<script>")
        assert page.endswith("</script></body></html>")
        assert version(report) in page
    assert get(address, "/chapters/a.html")[1].startswith("<p>no body<script>")
    assert get(address, "/a.css") == (200, "p {}")
    assert "script" not in (report / "html" / "index.html").read_text()


def test_the_version_follows_the_report(report: Path, address: str) -> None:
    first = get(address, "/-/version")
    assert first == (200, version(report))
    (report / "run.json").unlink()
    assert get(address, "/-/version") == (200, "none")
    assert "is being built" in get(address)[1]
    (report / "run.json").write_text("{}")
    assert get(address, "/-/version") not in (first, (200, "none"))


@pytest.mark.parametrize("path", ["/../run.json", "/%2e%2e/run.json", "/none.html", "/chapters/../../run.json"])
def test_nothing_but_the_html_is_served(address: str, path: str) -> None:
    assert get(address, path)[0] == 404


def test_names_of_elsewhere_are_not_answered(address: str) -> None:
    port = urlsplit(address).port
    assert get(address, host=f"localhost:{port}")[0] == 200
    for host in (f"example.org:{port}", "example.org", f"127.0.0.1.example.org:{port}"):
        assert get(address, host=host)[0] == 403


def test_a_port_that_is_taken_is_refused(report: Path, address: str) -> None:
    with pytest.raises(RefusedError, match="--port 0 takes a free one"), serving(report, urlsplit(address).port or 0):
        pass


def test_what_is_watched(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    outside = write_data(tmp_path / "outside")
    folders = watched_folders(Repository(root), outside)
    assert {root, root / "chapters", outside} <= folders
    assert root / "data" / "tiny" not in folders
    assert any(folder.parts[-2:] == ("respine", "stats") for folder in folders)
    assert not [folder for folder in folders if folder.name == "__pycache__"]


def test_a_change_builds_again(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    report, said, stop = root / "report", list[str](), threading.Event()
    command = [sys.executable, "-c", BUILD, str(root), str(report)]
    arguments = {"port": 0, "say": said.append, "stop": stop}
    thread = threading.Thread(target=serve, args=(Repository(root), report, None, command), kwargs=arguments)
    thread.start()
    try:
        ran = root / ".ran"
        until(lambda: ran.exists() and ran.read_text() == "x")
        address = said[0].split()[0]
        assert "A book." in get(address)[1]
        for n, (path, text) in enumerate(
            [("index.md", "Other words."), ("data/tiny/adsl.csv", "USUBJID\n"), ("chapters/new.md", "# New")], 2
        ):
            (root / path).write_text(text)
            until(lambda n=n: len(ran.read_text()) == n)  # type: ignore[misc]
        assert "Other words." in get(address)[1]
        (root / "report.partial-1").mkdir()
        (root / ".hidden").write_text("")
        time.sleep(1)
        assert len(ran.read_text()) == 4, "what the build itself writes is no change"
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "book")
    process = start_build(root, "serve", "--port", "0")
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    assert "is being built" in get(address)[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "stopped\n")
    assert "Traceback" not in err
    until(lambda: not list(processes_naming(str(root))))
