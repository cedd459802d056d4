"""Papermill's engine whose kernels are forked from one pre-imported process: ready in a fraction of a second.

``papermill in.ipynb out.ipynb --engine respine-forked`` works as well as the build. Where processes cannot be forked
safely, the engine starts ordinary kernels; the outputs are the same.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from respine.book.zygote import MESSAGE_BYTES

ENGINE = "respine-forked"
_LAUNCHER = "ipykernel_launcher"
_LONGEST_SOCKET_PATH = 60


def can_fork() -> bool:
    """Whether this system has what forked kernels need: Linux with process descriptors."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


class ForkUnavailableError(RuntimeError):
    """The pre-imported process did not come up, or has threads that a fork would lose."""


class ForkedProcess:
    """A kernel forked by the zygote, with the methods of ``subprocess.Popen`` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    def poll(self) -> int | None:
        """None while the kernel lives; its exit status is the zygote's to know."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return 0 if poller.poll(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the kernel has ended."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        if not poller.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout or 0)
        return 0

    def send_signal(self, number: int) -> None:
        """Signal this very process, even if its number was given away meanwhile."""
        signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Zygote:
    """The pre-imported process, seen from the build.

    It starts at once and imports while the caller does other things; the first :meth:`fork` waits until it is ready.
    """

    def __init__(self, preload: Iterable[str] = (), environment: dict[str, str] | None = None) -> None:
        self.folder = _socket_path()  # made by the process itself, which removes it whatever becomes of us
        self._lock = threading.Lock()
        self._threads: int | None = None
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        program = "import sys; del sys.path[0]; from respine.book.zygote import serve; "
        program += "serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])"
        with theirs:
            self._process = subprocess.Popen(
                # Without frozen modules, as ipykernel starts its kernels: its debugger complains otherwise.
                [
                    sys.executable,
                    "-Xfrozen_modules=off",
                    "-c",
                    program,
                    str(theirs.fileno()),
                    str(self.folder),
                    ",".join(preload),
                ],
                env=environment or kernel_environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(self, argv: list[str], cwd: str, env: dict[str, str]) -> ForkedProcess:
        """A new kernel process, started as ``ipykernel_launcher *argv``."""
        with self._lock:
            self._wait_until_ready()
            self._channel.send(json.dumps({"argv": argv, "cwd": cwd, "env": env}).encode())
            answer, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_BYTES, 1)
            if not descriptors:
                raise ForkUnavailableError("the pre-imported process has ended")
            return ForkedProcess(json.loads(answer)["pid"], descriptors[0])

    def _wait_until_ready(self) -> None:
        if self._threads is None:
            answer = self._channel.recv(MESSAGE_BYTES)
            self._threads = json.loads(answer)["threads"] if answer else 0
        if self._threads != 1:
            reason = f"has {self._threads} threads" if self._threads else "ended while importing"
            raise ForkUnavailableError(f"the pre-imported process {reason}")

    def usable(self) -> bool:
        """Whether kernels can be forked; waits until that is known."""
        with self._lock:
            try:
                self._wait_until_ready()
            except (ForkUnavailableError, OSError):
                return False
            return True

    def close(self) -> None:
        """End the process and every kernel it forked."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer; close() would not
        self._channel.close()
        if self._threads is None:
            self._process.kill()  # still importing: there is nothing yet that it could leave behind
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def kernel_environment(**more: str) -> dict[str, str]:
    """The environment of every kernel, forked or not: one thread, fixed hashing, this package importable."""
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    single = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(single, "1"),
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow starts a thread when it is imported
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(paths),
        **more,
    }


def _socket_path() -> Path:
    # Paths of Unix sockets may have 107 characters: a deep TMPDIR leaves too few, and POSIX promises this one.
    shallow = len(tempfile.gettempdir()) <= _LONGEST_SOCKET_PATH
    return (Path(tempfile.gettempdir()) if shallow else Path(os.sep, "tmp")) / f"respine-{os.urandom(6).hex()}"


class ForkedProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Starts a kernel by asking a zygote for a fork.

    Jupyter, nbval among it, takes it for all kernels where ``JUPYTER_DEFAULT_PROVISIONER_NAME=respine-forked`` is set;
    the zygote is then that process's own and has imported what the chapters of the book at hand import.
    """

    zygote: Zygote | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork instead of running ``cmd``, whose arguments are the kernel's; run it where that is not possible."""
        zygote = self.zygote or (_shared_zygote() if can_fork() and _runs_this_python(cmd) else None)
        if zygote is None:
            return await super().launch_kernel(cmd, **kwargs)
        cwd = str(kwargs.get("cwd") or Path.cwd())
        self.process = zygote.fork(cmd[cmd.index(_LAUNCHER) + 1 :], cwd, dict(kwargs["env"]))
        self.pid = self.pgid = self.process.pid
        self.cwd = cwd
        return self.connection_info


class IpcKernelManager(AsyncKernelManager):  # type: ignore[misc]
    """A kernel manager over Unix sockets (faster than TCP, closed to other users), known to :func:`kill_all`."""

    provisioner: Any
    running: ClassVar[weakref.WeakSet[IpcKernelManager]] = weakref.WeakSet()
    stopping: ClassVar[threading.Event] = threading.Event()
    folder: ClassVar[Path | None] = None

    def __init__(self, **kwargs: Any) -> None:
        if self.folder is not None:
            kwargs["transport"] = "ipc"
            kwargs["connection_file"] = str(self.folder / f"k{os.urandom(4).hex()}.json")
        super().__init__(**kwargs)
        self.running.add(self)

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        # Our own choice, whatever provisioner the environment names for other kernels.
        if self.provisioner is None:
            self.provisioner = self._new_provisioner(
                parent=self, kernel_spec=self.kernel_spec, kernel_id=os.urandom(8).hex()
            )
        return await super()._async_pre_start_kernel(**kwargs)

    def _new_provisioner(self, **traits: Any) -> Any:
        return LocalProvisioner(**traits)

    async def _async_post_start_kernel(self, **kwargs: Any) -> None:
        # A kernel that was just being started while all others were killed would live on.
        if self.stopping.is_set():
            _kill(self)
            raise InterruptedError("the build was stopped")
        await super()._async_post_start_kernel(**kwargs)


class ForkedKernelManager(IpcKernelManager):
    """A kernel manager whose kernels are forks of :attr:`zygote`."""

    zygote: ClassVar[Zygote | None] = None

    def _new_provisioner(self, **traits: Any) -> Any:
        provisioner = ForkedProvisioner(**traits)
        provisioner.zygote = self.zygote
        return provisioner


def kill_all() -> None:
    """Kill every kernel that this process has started, so that threads waiting for one come back; start no more."""
    IpcKernelManager.stopping.set()
    for manager in list(IpcKernelManager.running):
        _kill(manager)


def _kill(manager: IpcKernelManager) -> None:
    process = getattr(manager.provisioner, "process", None)
    if process is not None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


_zygote_lock = threading.Lock()


def start_zygote(preload: Iterable[str] = ()) -> None:
    """Start the process that this process's forked kernels come from, unless it runs already."""
    with _zygote_lock:
        if ForkedKernelManager.zygote is None:
            zygote = Zygote(preload)
            ForkedKernelManager.zygote, IpcKernelManager.folder = zygote, zygote.folder
            atexit.register(stop_zygote)


def stop_zygote() -> None:
    """End it, and its kernels."""
    with _zygote_lock:
        if ForkedKernelManager.zygote is not None:
            ForkedKernelManager.zygote.close()
            ForkedKernelManager.zygote, IpcKernelManager.folder = None, None
            atexit.unregister(stop_zygote)


def _shared_zygote() -> Zygote | None:
    """This process's zygote, started if need be; None where kernels cannot be forked from it."""
    if ForkedKernelManager.zygote is None:
        start_zygote(_imports_of_the_book())
    zygote = ForkedKernelManager.zygote
    return zygote if zygote is not None and zygote.usable() else None


def _imports_of_the_book() -> tuple[str, ...]:
    from respine.book.build import preload
    from respine.book.cache import package_sources
    from respine.book.chapters import read_chapters
    from respine.book.failures import RefusedError
    from respine.book.paths import find_repository

    try:
        return preload(list(read_chapters(find_repository())), package_sources())
    except RefusedError:  # not in a book: kernels import as they go
        return ()


@contextlib.contextmanager
def kernel_source(preload: Iterable[str] | None) -> Iterator[None]:
    """Have a zygote that imports ``preload``, or for None only a place for sockets; leave no kernel behind."""
    IpcKernelManager.stopping.clear()
    if preload is not None and can_fork():
        start_zygote(preload)
    elif sys.platform == "linux":
        IpcKernelManager.folder = _socket_path()
        IpcKernelManager.folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        kill_all()
        stop_zygote()
        if IpcKernelManager.folder is not None:
            shutil.rmtree(IpcKernelManager.folder, ignore_errors=True)
            IpcKernelManager.folder = None


@cache
def _engine_class() -> type:
    from papermill.engines import NBClientEngine

    class ForkedEngine(NBClientEngine):  # type: ignore[misc]
        """Papermill's engine of the name :data:`ENGINE`."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
            """Run a notebook in a forked kernel, or in an ordinary one where forking is not possible."""
            manager: type[IpcKernelManager] = IpcKernelManager
            if can_fork() and _is_this_python(kernel_name) and _shared_zygote() is not None:
                manager = ForkedKernelManager
            return super().execute_managed_notebook(nb_man, kernel_name, kernel_manager_class=manager, **kwargs)

    return ForkedEngine


def __getattr__(name: str) -> Any:
    # papermill loads its engines while it is imported itself: a class statement at the top of this module would import
    # papermill, and papermill, by the entry point, this module before it is complete.
    if name == "ForkedEngine":
        return _engine_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register() -> None:
    """Make the engine known to papermill, also where the package is not installed but run from a checkout."""
    from papermill.engines import papermill_engines

    papermill_engines.register(ENGINE, _engine_class())


def _is_this_python(kernel_name: str) -> bool:
    from jupyter_client.kernelspec import KernelSpecManager

    return _runs_this_python(KernelSpecManager().get_kernel_spec(kernel_name).argv)


def _runs_this_python(argv: list[str]) -> bool:
    runs_here = argv[0] in ("python", "python3") or Path(argv[0]).resolve() == Path(sys.executable).resolve()
    return runs_here and _LAUNCHER in argv
