"""Checks of this machine: settings, folders, disk, GPUs, torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ValidationError

from api.doctor.finding import Finding, ok, problem, warning
from api.process import ONE_THREAD
from core.errors import DataError
from core.gpus import visible_gpus
from core.logs import redact
from core.settings import Settings, what_is_wrong

_OTHERS = frozenset({"GBLEND_READY_FILE", "GBLEND_URL", "GBLEND_API_KEY"})
"""Variables of ours that are no settings: the embedded service's own, and the client's."""
_LITTLE_DISK, _NO_DISK = 2 << 30, 100 << 20
_TORCH_SECONDS = 120.0
_STORE_SECONDS = 10.0
_ASK_TORCH = (
    "import json, torch; print(json.dumps([torch.__version__, torch.cuda.is_available(), torch.cuda.device_count()]))"
)


def check_settings(environment: Mapping[str, str]) -> tuple[Settings | None, Finding]:
    """The settings, where they can be read."""
    given = {name: value for name, value in environment.items() if name.upper().startswith("GBLEND_")}
    try:
        settings = Settings()
    except ValidationError as error:
        return None, problem(
            "settings", what_is_wrong(error), "correct these variables; docs/operations.md lists all settings"
        )
    known = _names()
    unknown = sorted(name for name in given if name.upper() not in known and name not in _OTHERS)
    shown = ", ".join(f"{name}={_masked(name, given[name])}" for name in sorted(given) if name.upper() in known)
    if unknown:
        return settings, warning(
            "settings",
            f"no setting is called {', '.join(unknown)}" + (f"; set: {shown}" if shown else ""),
            "they do nothing: is it a slip? docs/operations.md lists all settings",
        )
    return settings, ok("settings", f"set: {shown}" if shown else "all at their defaults")


def check_state(settings: Settings) -> Finding:
    """The state folder: there or to be made, writable, with room."""
    folder = settings.state_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return problem(
            "state folder",
            f"{existing} cannot be written to: {error.strerror or error}",
            "give this user the right to, or name another folder with GBLEND_STATE_DIR",
        )
    said = f"{folder} {'is writable' if folder.exists() else 'will be made'}, {free / 2**30:.1f} GiB are free"
    if free < _NO_DISK:
        return problem("state folder", said, "free some room: checkpoints cannot be written")
    if free < _LITTLE_DISK:
        return warning("state folder", said, "free some room: checkpoints and models need it")
    return ok("state folder", said)


def check_roots(settings: Settings) -> Iterator[Finding]:
    """What `data://` and `models://` mean."""
    chosen = {"data": settings.roots.data, "models": settings.roots.models}
    for name, root in settings.local_roots.items():
        check, variable = f"{name} root", f"GBLEND_ROOTS__{name.upper()}"
        hint = f"make it, or name another folder with {variable}; specs name files as {name}://..."
        try:
            os.scandir(root).close()
        except FileNotFoundError:
            said = f"{root} does not exist"
            if chosen.get(name) is not None:
                yield problem(check, said, hint)
            elif name == "data":
                yield warning(check, f"{said}, so no spec finds its data", hint)
            else:
                yield ok(check, f"{said}, so no spec may name {name}://")
        except OSError as error:
            yield problem(check, f"{root} cannot be read: {error.strerror or error}", hint)
        else:
            yield ok(check, f"{root} is readable")


def check_remote_roots(settings: Settings) -> Iterator[Finding]:
    """Whether the object stores that specs may name answer, and let this process list."""
    from core.data.remote.client import client_of

    for url in settings.roots.remote or ():
        try:
            client_of(url).listing(url, seconds=_STORE_SECONDS)
        except DataError as error:
            yield problem(f"data at {url}", error.detail, error.hint or "specs that name files there are refused")
        else:
            yield ok(f"data at {url}", "can be listed")


def check_gpus(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What trainings would run on: what the driver shows, and whether torch can be imported and sees the same."""
    gpus = visible_gpus(environment)
    yield ok("GPUs", f"visible: {', '.join(gpus)}" if gpus else "none visible: trainings run on the CPU")
    command = [sys.executable, "-c", _ASK_TORCH]
    try:
        done = subprocess.run(
            command, env={**environment, **ONE_THREAD}, capture_output=True, text=True, timeout=_TORCH_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield problem("torch", f"could not be asked: {type(error).__name__}", "is this machine overloaded?")
        return
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason was told"])[-1]
        yield problem("torch", redact(f"cannot be imported: {last}"), "install gblend's dependencies again")
        return
    version, has_cuda, count = json.loads(done.stdout.splitlines()[-1])
    if gpus and not has_cuda:
        yield warning(
            "torch",
            f"{version} sees no CUDA device, although the driver shows {len(gpus)}",
            "install a build of torch for CUDA that the driver supports; until then trainings run on the CPU",
        )
    else:
        yield ok("torch", f"{version}, {f'{count} CUDA devices' if has_cuda else 'CPU only'}")


def _names() -> set[str]:
    """Every variable that is read."""
    found = set()
    for area, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            found |= {f"GBLEND_{area}__{name}".upper() for name in type(field.default).model_fields}
        found.add(f"GBLEND_{area}".upper())
    return found


def _masked(name: str, value: str) -> str:
    """The value as it may be shown: URLs without passwords, and nothing of a URL that is none."""
    if name.upper().endswith("__URL") and "://" not in value:
        return "***"
    return redact(value)
