"""Which GPUs this machine shows to this process. No torch: `nvidia-smi` knows too."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs this process may use, as `CUDA_VISIBLE_DEVICES` would name them; empty where there is none."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver without a GPU: the trainings run on the CPU
    return tuple(str(index) for index in range(sum(line.startswith("GPU ") for line in listed.splitlines())))
