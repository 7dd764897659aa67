"""How long a person waits: importing the API, the service being ready, the first word of a training.

    python -m benchmarks startup

Medians over separate processes, after one run that is not counted.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.tiny import tiny_spec, write_tiny

RUNS = 5
TARGETS = {
    "`import api.main`": 1.0,
    "`gblend-server up` to its ready line": 4.0,
    "submit to the first training event": 6.0,
}


def main() -> None:
    """Measures and prints a table."""
    rows = {
        "`import api.main`": _repeated(_import_api),
        "`gblend-server up` to its ready line": _repeated(_until_ready),
        "submit to the first training event": _repeated(_until_first_event),
    }
    print("| start-up | median s | min s | max s | target s |\n|---|---|---|---|---|")
    for name, seconds in rows.items():
        print(f"| {name} | {median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {TARGETS[name]:g} |")
    print()


def _repeated(measure: Callable[[], float]) -> list[float]:
    measure()
    return [measure() for _ in range(RUNS)]


def _import_api() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import sys, api.main; assert 'torch' not in sys.modules"], check=True)
    return time.perf_counter() - began


def _until_ready() -> float:
    began = time.perf_counter()
    with _service():
        return time.perf_counter() - began


def _until_first_event() -> float:
    """From the request to the moment at which the stream delivers `run.started`."""
    with _service() as url:
        began = time.perf_counter()
        request = urllib.request.Request(
            f"{url}/v1/jobs",
            data=json.dumps(tiny_spec(epochs=1)).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            job: dict[str, Any] = json.load(response)
        with urllib.request.urlopen(f"{url}/v1/jobs/{job['id']}/events/stream", timeout=60) as stream:
            for line in stream:
                if b'"run.started"' in line:
                    return time.perf_counter() - began
    raise RuntimeError("the stream ended before the training began")


@contextmanager
def _service() -> Iterator[str]:
    """`gblend-server up` in a folder of its own; its address once it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        write_tiny(Path(folder))
        with subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up", "--port", "0", "--state-dir", f"{folder}/state", "--data", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                ready = next(line for line in process.stdout if line.startswith("gblend: ready at "))
                yield ready.split()[-1]
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
