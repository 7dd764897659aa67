"""A decoder: `python -m core.data.decoding`, started by `core.data.decoding.pool` and ended by it, or with it.

Standard input says which files, standard output what became of each, as soon as it is known. What libraries print goes
to standard error.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from typing import BinaryIO

from core.processes import end_with_parent

_PIECE = 2**16


def main() -> None:
    """Decodes until standard input ends."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent hears it, too, and ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            _serve(out)
        except BrokenPipeError:  # nobody wants to know any more
            return


def _serve(out: BinaryIO) -> None:
    # After the guards: importing takes a while, in which the parent may end.
    from core.data.decoding.frames import Frames, frame
    from core.data.decoding.wire import decoded_frame, told_files
    from core.data.modalities import decode_file
    from core.errors import DataError

    _write(out, frame({"ready": True}))
    frames = Frames()
    while piece := os.read(sys.stdin.fileno(), _PIECE):
        for header, payload in frames.fed(piece):
            for blob in told_files(header, payload):
                try:
                    _write(out, decoded_frame(decode_file(blob, header["recipe"])))
                except DataError as error:  # of this installation, not of the file
                    told = {"code": error.code, "detail": error.detail, "hint": error.hint}
                    _write(out, frame({"failure": told}))
                except (MemoryError, OSError) as error:
                    if isinstance(error, BrokenPipeError):
                        raise
                    _write(out, frame({"crash": traceback.format_exc()}))


def _write(out: BinaryIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[out.write(left) :]


if __name__ == "__main__":
    main()
