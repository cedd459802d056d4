"""What can happen to a build: killed at any moment, stopped, raced, without room. The report is always whole."""

from __future__ import annotations

import random
import resource
import signal
import time
from pathlib import Path

import pytest

from respine.book.provenance import verify
from respine.book.results_file import read_results
from tests.book.mini.repository import change_cell, files, make_repository, processes_naming, start_build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A book with a report, and the seconds that took."""
    root = make_repository(tmp_path_factory.mktemp("faults") / "book")
    start = time.monotonic()
    finish(root)
    return root, time.monotonic() - start


def finish(root: Path, *arguments: str) -> tuple[str, str]:
    process = start_build(root, "build", *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def nothing_is_left(root: Path, seconds: float = 20) -> None:
    """No process and no socket: one that is still importing goes, and takes its folder along, when it has imported."""
    deadline = time.monotonic() + seconds
    while (alive := list(processes_naming(str(root.parent)))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive
    assert not list((root.parent / "tmp").glob("respine-*")), "sockets"


def kill_at(root: Path, seconds: float, number: int) -> None:
    """Change a chapter, build, kill after some time, and look at what is there."""
    before = files(root / "report")
    change_cell(root, "third", "count", f"publish('third.rows', {number})")
    process = start_build(root, "build", start_new_session=True)
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=60)
    assert verify(root / "report").intact, f"killed after {seconds:.3f} s"
    if files(root / "report") != before:
        assert read_results(root / "report")["third.rows"].result.value == number
    nothing_is_left(root)
    finish(root)
    assert verify(root / "report").intact
    assert read_results(root / "report")["third.rows"].result.value == number
    assert not list(root.glob("report.*")), "scratch of the killed build"


def test_killed_in_the_middle(built: tuple[Path, float]) -> None:
    root, seconds = built
    kill_at(root, 0.6 * seconds, 1000)


@pytest.mark.soak
def test_killed_at_thirty_random_moments(built: tuple[Path, float]) -> None:
    root, seconds = built
    draw = random.Random(20241101)
    for number in range(30):
        kill_at(root, draw.uniform(0, 1.1) * seconds, 2000 + number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_hand(built: tuple[Path, float], number: signal.Signals, status: int) -> None:
    root, seconds = built
    before = files(root / "report")
    change_cell(root, "second", "count", f"import time\ntime.sleep(60)  # {status}")
    process = start_build(root, "build", start_new_session=True)
    time.sleep(0.8 * seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert files(root / "report") == before
    assert not list(root.glob("report.*"))
    nothing_is_left(root)
    change_cell(root, "second", "count", "publish('second.rows', 4)")


def test_two_at_once(built: tuple[Path, float], tmp_path: Path) -> None:
    root, _ = built
    go = tmp_path / "go"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.05)\n"
    change_cell(root, "first", "count", wait + "publish('first.rows', 5)")
    one = start_build(root, "build")
    deadline = time.monotonic() + 60
    while (root / ".respine" / "lock").read_text() != str(one.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    two = start_build(root, "build")
    assert two.stderr is not None
    assert f"another build (process {one.pid}) is at work" in two.stderr.readline()
    go.touch()
    _, err = two.communicate(timeout=120)
    assert one.wait(timeout=120) == 0
    assert two.returncode == 0, err
    assert verify(root / "report").intact


def test_no_room_for_a_file(built: tuple[Path, float]) -> None:
    root, _ = built
    before = files(root / "report")
    change_cell(root, "third", "count", "publish('third.rows', 77)")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    process = start_build(root, "build", preexec_fn=limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "File too large" in err
    assert "the report published before is untouched" in err
    assert files(root / "report") == before
    assert not list(root.glob("report.*"))
    nothing_is_left(root)
    finish(root)


def test_a_folder_that_cannot_be_written(built: tuple[Path, float]) -> None:
    root, _ = built
    process = start_build(root, "build", "--out", "/proc/report")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "cannot write in /proc" in err) == (2, True)
