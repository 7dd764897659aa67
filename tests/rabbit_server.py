"""A real RabbitMQ for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.servers import START_SECONDS, free_port, wait_until


def rabbitmq_script() -> Path | None:
    """RabbitMQ's own start script. Distributions put a wrapper on the PATH that switches to the system's user, folders
    and node; the real one lies beside what that wrapper links to."""
    on_path = shutil.which("rabbitmq-server")
    if on_path is None:
        return None
    beside = Path(on_path).resolve().with_name("rabbitmq-server")
    return beside if beside.exists() else Path(on_path)


class RabbitServer:
    """A RabbitMQ node of its own: own name, ports, cookie, port mapper and folders. The machine's is not touched."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._folder = Path(tempfile.mkdtemp(prefix="gblend-rabbit-"))
        self.port, distribution, mapper = free_port(), free_port(), free_port()
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\nlog.console = true\n"
        )
        (self._folder / "plugins").write_text("[].\n")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"gblend-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            # One scheduler that sleeps when it has nothing to do: tests share few cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        self._mapper: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens. The password is the one that every new node has."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start, or start again on the same port with what was durable; nothing where it runs."""
        if self._process is not None:
            return
        if self._mapper is None:
            mapper = ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
            self._mapper = subprocess.Popen(mapper, env=self._environment, cwd=self._folder)
        with (self._folder / "out").open("ab") as log:
            self._process = subprocess.Popen(
                [self._script],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        said = (self._folder / "out").read_text
        wait_until(self._answers, f"RabbitMQ: {said(errors='replace')[-2000:]}", seconds=3 * START_SECONDS, every=0.2)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(8))
        except OSError:
            return False

    def stop(self) -> None:
        """SIGKILL: what was not on the disk is gone."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop and remove its folder."""
        self.stop()
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
