"""The process that kernels are forked from. It imports what chapters need once; each fork then is a ready kernel.

It must stay single-threaded until it forks, so it imports, answers requests on one socket, and does nothing else. When
the socket closes, because the build ended or was killed, it kills its kernels, removes its folder and ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

MESSAGE_BYTES = 1 << 20
_REAP_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1
_KERNEL_MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "matplotlib_inline.backend_inline",
    # The rest a kernel imports while it starts.
    "ipykernel.debugger", "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.extensions.storemagic", "encodings.idna", "sqlite3", "tornado.platform.asyncio",
)  # fmt: skip


def serve(control: int, folder: str, preload: str) -> None:
    """Import the comma-separated modules of ``preload``, then fork a kernel for each request on socket ``control``."""
    channel = socket.socket(fileno=control)
    os.mkdir(folder, 0o700)
    kernels: set[int] = set()
    try:
        _import_all(name for name in preload.split(",") if name)
        threads = len(os.listdir("/proc/self/task"))
        channel.send(json.dumps({"threads": threads}).encode())
        gc.collect()
        gc.freeze()
        while True:
            readable, _, _ = select.select([channel], [], [], _REAP_SECONDS if kernels else None)
            _reap(kernels)
            if readable:
                request = channel.recv(MESSAGE_BYTES)
                if not request:
                    return
                kernels.add(_fork_kernel(channel, json.loads(request)))
    except OSError:
        return  # The build is gone in the middle of an answer.
    finally:
        for pid in kernels:
            _kill_group(pid)
        shutil.rmtree(folder, ignore_errors=True)


def _import_all(names: Iterable[str]) -> None:
    # A module that cannot be imported fails again, visibly, in the chapter that wants it.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in (*_KERNEL_MODULES, *names):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _fork_kernel(channel: socket.socket, request: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_kernel(channel, request, parent)
    descriptor = os.pidfd_open(pid)
    try:
        socket.send_fds(channel, [json.dumps({"pid": pid}).encode()], [descriptor])
    finally:
        os.close(descriptor)
    return pid


def _become_kernel(channel: socket.socket, request: dict[str, Any], parent: int) -> NoReturn:
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        channel.close()
        os.setsid()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        # A cold kernel seeds numpy afresh; forks would all share the parent's state.
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher.py", *request["argv"]]
        app = IPKernelApp.instance(parent_handle=parent)
        app.initialize(request["argv"])
        app.start()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _reap(kernels: set[int]) -> None:
    for pid in tuple(kernels):
        if os.waitpid(pid, os.WNOHANG)[0]:
            kernels.discard(pid)
            _kill_group(pid)


def _kill_group(pid: int) -> None:
    # A kernel leads its own group: what it started goes with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
