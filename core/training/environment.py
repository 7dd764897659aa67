"""What a result depends on beside its spec: versions, device, threads."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import torch

_PACKAGES = ("gblend", "torch", "numpy", "safetensors", "pillow", "soundfile", "soxr", "pyarrow", "pydantic")


def environment(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """JSON for `run.started`, of a run in so many processes. Names no host and no user."""
    return {
        "git_sha": os.environ.get("GBLEND_GIT_SHA"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processes": processes,
        "threads": torch.get_num_threads(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
