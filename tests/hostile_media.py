"""Media files that a decoder does not survive, without a bug of a decoder: it is the name that does it.

`setting_traps(folder)` gives a PYTHONPATH under which every process hooks into the opening of files: one whose name
begins with `crash` is a segmentation fault, with `once` the first time only, with `hang` an end that never comes.
"""

from __future__ import annotations

from pathlib import Path

_HOOK = """
import os, signal, sys, time

def _trap(event, arguments):
    if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    path = os.fsdecode(arguments[0])
    name = os.path.basename(path)
    if name.startswith("once") and not os.path.exists(path + ".crashed"):
        os.mkdir(path + ".crashed")
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang"):
        time.sleep(3600)

sys.addaudithook(_trap)
"""


def setting_traps(folder: Path) -> str:
    """A value of PYTHONPATH; `folder` is made."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HOOK)
    return str(folder)
