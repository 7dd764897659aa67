"""`gblend-server up`: the whole service as child processes of one that watches them.

The listening socket is made here and handed to the API process: the port is known at once, survives a restart of that
process, and nobody can take it in between. Children run in process groups of their own, so that Ctrl-C in a terminal
reaches only us and each of them is told to stop exactly once. They end with us, whatever
happens to us (`process.die_with`).
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from sqlalchemy.exc import OperationalError

from api.doctor.finding import told
from api.process import environment
from api.server import address_of, listen
from core.jobs.broker import READY_FILE_VARIABLE
from core.persistence.migrate import upgrade
from core.persistence.schema import SchemaError
from core.settings import Settings

_WATCH_SECONDS = 0.1
_READY_WITHIN_SECONDS = 60.0
_API_STOPS_WITHIN_SECONDS = 10.0
_QUICK_DEATH_SECONDS = 10.0
"""A child that ended sooner than this is restarted ever more slowly."""
_LONGEST_PAUSE_SECONDS = 30.0


class Child:
    """One of our processes, and when to start it again."""

    def __init__(self, name: str, start: Callable[[], subprocess.Popen[bytes]], *, grace_seconds: float) -> None:
        self.name = name
        self.grace_seconds = grace_seconds
        self._start = start
        self._deaths = 0
        self._start_at = 0.0
        self.process = start()
        self._started_at = time.monotonic()

    def watch(self) -> None:
        """Start it again if it ended; soon after the first time, ever later where it keeps ending at once."""
        if self.process.poll() is None:
            return
        now = time.monotonic()
        if self._start_at <= self._started_at:
            self._deaths = self._deaths + 1 if now - self._started_at < _QUICK_DEATH_SECONDS else 1
            self._start_at = now + min(2.0 ** (self._deaths - 1), _LONGEST_PAUSE_SECONDS)
            _say(f"the {self.name} process ended ({_how(self.process.returncode)}); starting it again")
        if now >= self._start_at:
            self.process = self._start()
            self._started_at = time.monotonic()

    def ask_to_stop(self) -> None:
        """SIGTERM, once."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait_or_kill(self, deadline: float, hurry: Flag) -> None:
        """Wait until it is gone; at the deadline, or when `hurry` is set, kill its whole group."""
        while self.process.poll() is None:
            if time.monotonic() >= deadline or hurry.is_set():
                _say(f"the {self.name} process does not stop; killing it")
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                return
            time.sleep(_WATCH_SECONDS)


class Flag:
    """Set by a signal handler. No `threading.Event`: its lock may be held by the thread that the signal interrupts."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """From now on `is_set`."""
        self._set = True

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    def wait(self, seconds: float) -> bool:
        """Sleeps unless it is set; whether it is set afterwards."""
        if not self._set:
            time.sleep(seconds)
        return self._set


class StartError(Exception):
    """The service could not start."""


def run(settings: Settings) -> int:
    """Start everything, say `gblend: ready at ...`, wait for SIGINT or SIGTERM, stop everything; the exit status."""
    stop, hurry = Flag(), Flag()

    def on_signal(number: int, frame: FrameType | None) -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _say(f"the state folder cannot be made: {error}")
        return 2
    try:
        listening = listen(
            settings.api.host, settings.api.port, drop_after_seconds=settings.api.sse_send_timeout_seconds
        )
    except OSError as error:
        _say(f"cannot listen on {settings.api.host}:{settings.api.port}: {error.strerror or error}")
        return 2
    ready_file = settings.state_dir / f"worker-{os.getpid()}.ready"
    with listening:
        try:
            upgrade(settings.database_url)
        except SchemaError as error:
            _say(f"{error.detail}: {error.hint}")
            return os.EX_CONFIG
        except OperationalError as error:
            _say(f"the database cannot be brought to the newest revision: {told(error)}")
            return os.EX_UNAVAILABLE
        children = _start(settings, listening.fileno(), ready_file)
        try:
            if _wait_until_ready(children, address_of(listening), ready_file, stop):
                print(f"gblend: ready at {address_of(listening)}", flush=True)
            while not stop.wait(_WATCH_SECONDS):
                for child in children:
                    child.watch()
        except StartError as error:
            _say(str(error))
            return 1
        finally:
            _stop(children, hurry)
            ready_file.unlink(missing_ok=True)
    return 0


def _start(settings: Settings, listening: int, ready_file: Path) -> list[Child]:
    def start_api() -> subprocess.Popen[bytes]:
        os.set_inheritable(listening, True)
        return _spawn(["api", "--fd", str(listening)], pass_fds=(listening,))

    def start_worker() -> subprocess.Popen[bytes]:
        return _spawn(["worker"], extra={READY_FILE_VARIABLE: str(ready_file)})

    worker_grace = settings.engine.cancel_grace_seconds + 5.0
    children = [Child("worker", start_worker, grace_seconds=worker_grace)]  # the slower one first
    try:
        children.append(Child("api", start_api, grace_seconds=_API_STOPS_WITHIN_SECONDS))
    except OSError:
        _stop(children, Flag())
        raise
    return children


def _spawn(
    command: Sequence[str], *, pass_fds: Sequence[int] = (), extra: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "api.cli", *command, "--parent-pid", str(os.getpid())]
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        env={**environment(), **(extra or {})},
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _wait_until_ready(children: Sequence[Child], address: str, ready_file: Path, stop: Flag) -> bool:
    """Whether everything answers; `False` where we were told to stop meanwhile. Raises `StartError`."""
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    api_ready, said = False, "it does not answer"
    while not stop.is_set():
        for child in children:
            if child.process.poll() is not None:
                how = _how(child.process.returncode)
                raise StartError(f"the {child.name} process ended before it was ready ({how})")
        if not api_ready:
            api_ready, said = _ask_ready(address)
        if api_ready and ready_file.exists():
            return True
        if time.monotonic() > deadline:
            raise StartError(f"not ready: {'the worker takes no work' if api_ready else said}")
        stop.wait(0.02)
    return False


def _ask_ready(address: str) -> tuple[bool, str]:
    """Ask `/readyz` once. While the API process still starts, the kernel holds the connection: no busy polling."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=0.5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status == 200, response.read().decode(errors="replace")
    except OSError as error:
        return False, f"{address}: {error}"
    finally:
        connection.close()


def _stop(children: Sequence[Child], hurry: Flag) -> None:
    for child in children:
        child.ask_to_stop()
    began = time.monotonic()
    for child in children:
        child.wait_or_kill(began + child.grace_seconds, hurry)


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def _say(message: str) -> None:
    print(f"gblend-server: {message}", file=sys.stderr, flush=True)
