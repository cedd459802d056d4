"""A report replaced in one step, by one build at a time; killed at any moment, the old report is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from respine.book.failures import RefusedError
from respine.book.paths import files_below
from respine.book.provenance import RUN_FILE, read_run

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextlib.contextmanager
def one_at_a_time(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a repository; a second build says that it waits. The lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system; then two builds at once are the user's care
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise RefusedError(f"cannot write in {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"another build (process {lock.read().strip() or '?'}) is at work in this repository: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_target(out: Path, keep: tuple[Path, ...]) -> None:
    """Refuse an output folder that is something else than a report, or holds or lies in what must be kept."""
    for path in keep:
        if path == out or path.is_relative_to(out):
            raise RefusedError(f"--out {out} would replace {path}: name a folder of its own")
    if out.exists() and not out.is_dir():
        raise RefusedError(f"--out {out} is a file, not a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    run = read_run(out)
    if run is None:
        raise RefusedError(f"--out {out} holds files that are not a report of respine: name another folder")
    own = {*run["outputs"], RUN_FILE}
    # Hidden files are left by file managers and editors; anything else somebody put there and may want to keep.
    foreign = [name for name in map(str, (path.relative_to(out) for path in files_below(out))) if name not in own]
    if foreign:
        raise RefusedError(
            f"--out {out} holds {', '.join(foreign[:3])}, which no build wrote: move that elsewhere first"
        )


def recover(out: Path) -> None:
    """Clear what killed builds have left beside ``out``; put a report back that was moved away and not replaced."""
    for path in sorted(out.parent.glob(f"{_escaped(out.name)}.*-*")):
        match = re.fullmatch(re.escape(out.name) + r"\.(partial|old)-(\d+)", path.name)
        if match is None or _alive(int(match[2])):
            continue
        if match[1] == "old" and not out.exists():
            path.rename(out)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A scratch folder beside ``out``, so on the same file system; gone afterwards."""
    stage = out.with_name(f"{out.name}.partial-{os.getpid()}")
    try:
        stage.mkdir(parents=True)
    except OSError as error:
        raise RefusedError(f"cannot write in {out.parent}: {error.strerror}") from None
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def publish(new: Path, out: Path) -> None:
    """Put the folder ``new`` in the place of ``out``.

    With the kernel's exchange of two names there is no moment without a report, and the old one is left where ``new``
    was. Elsewhere the old one is moved aside first; :func:`recover` finishes or undoes that if it is interrupted.
    """
    if not out.exists() or not any(out.iterdir()):
        new.rename(out)
    elif not exchange(new, out):
        old = out.with_name(f"{out.name}.old-{os.getpid()}")
        out.rename(old)
        try:
            new.rename(out)
        except BaseException:
            old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)


def exchange(a: Path, b: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(b))
