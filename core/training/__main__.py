"""The training process: `python -m core.training --run-dir D`.

Reads `D/spec.json`; writes `D/events.jsonl`, `D/progress.json`, `D/checkpoints/`, `D/artifacts/`. Exit codes: 0 the
run is complete; 65 (EX_DATAERR) it failed for a reason that a retry will not mend, told in the last event; 74
(EX_IOERR) an object store or a hub of models is away, told in `D/failure.json`: the same attempt may succeed later; 75
(EX_TEMPFAIL) it was asked to stop (SIGTERM: at once while it loads, then at the next batch) and can be resumed;
anything else is a crash.

Where the spec asks for several devices, this process becomes torchrun, which starts itself anew on each of them
(`core.training.launch`); whoever started it sees one process that behaves in the same way. Where it is one of several
machines, all of them meet before they begin (`core.training.nodes`); 69 (EX_UNAVAILABLE): the others did not come.
"""

from __future__ import annotations

import os

# Before anything can load an OpenMP runtime: idle threads must sleep, not spin on the cores that other trainings need.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import argparse
import json
import sys
from pathlib import Path

from core.training.guard import die_with_parent, stop_flag
from core.training.printing import log, set_up


def main() -> int:
    """Runs the training in the directory that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m core.training", description="Train one gblend job.")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder with spec.json, written to")
    arguments = parser.parse_args()
    run_dir: Path = arguments.run_dir.resolve()
    die_with_parent()
    should_stop = stop_flag()
    request = json.loads((run_dir / "spec.json").read_bytes())
    devices = int(request["spec"].get("scheduling", {}).get("devices", 1))
    machine = int((request.get("nodes") or {}).get("number", 0))
    set_up(machine * devices + int(os.environ.get("RANK", "0")))
    log.info("the training process starts")
    # After the guards: importing torch takes seconds, in which the parent may die.
    if "RANK" not in os.environ and devices > 1:
        from core.training.launch import launch

        return launch(run_dir, devices, should_stop)
    from core.training.drive import drive

    return drive(run_dir, should_stop)


if __name__ == "__main__":
    sys.exit(main())
