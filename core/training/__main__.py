"""The training process: `python -m core.training --run-dir D`.

Reads `D/spec.json`; writes `D/events.jsonl`, `D/progress.json`, `D/checkpoints/`, `D/artifacts/`. Exit codes: 0 the
run is complete; 65 (EX_DATAERR) it failed for a reason that a retry will not mend, told in the last event; 75
(EX_TEMPFAIL) it was asked to stop (SIGTERM) and can be resumed; anything else is a crash.
"""

from __future__ import annotations

import os

# Before anything can load an OpenMP runtime: idle threads must sleep, not spin on the cores that other trainings need.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import argparse
import sys
from pathlib import Path

from core.training.guard import die_with_parent, stop_flag


def main() -> int:
    """Runs the training in the directory that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m core.training", description="Train one gblend job.")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder with spec.json, written to")
    arguments = parser.parse_args()
    die_with_parent()
    should_stop = stop_flag()
    # After the guards: importing torch takes seconds, in which the parent may die.
    from core.training.drive import drive

    return drive(arguments.run_dir.resolve(), should_stop)


if __name__ == "__main__":
    sys.exit(main())
