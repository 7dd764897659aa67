"""Runs every (data set, seed) in a process of its own, as many at once as there are cores; then writes the tables."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.method.sets import RANDOM_V, SETS, DataSet
from benchmarks.method.tables import markdown

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run, write `results.json` and `results.md`; exit status 1 where a run failed."""
    options = _parser().parse_args()
    sets = [found for found in (*SETS, *RANDOM_V) if not options.set or found.name in options.set]
    present = [found for found in sets if (options.data / found.folder).is_dir()]
    for missing in sets:
        if missing not in present:
            print(f"method: NOT RUN: the data set {missing.name!r} is not below the data folder", file=sys.stderr)
    done: list[dict[str, Any]] = json.loads(options.out.read_text())["runs"] if options.resume else []
    todo = [(found, seed, _finished(done, found, seed)) for seed in range(options.seeds) for found in present]
    failed = False
    with ThreadPoolExecutor(options.processes) as pool:
        for lines, error in pool.map(lambda task: _one(task[0], task[1], task[2], options), todo):
            done += lines
            failed = failed or bool(error)
            if error:
                print(f"method: {error}", file=sys.stderr)
            elif lines:
                print(f"method: {lines[0]['set']}, seed {lines[0]['seed']}: {len(lines)} runs", file=sys.stderr)
            options.out.write_text(json.dumps({"seeds": options.seeds, "runs": done}, indent=1) + "\n")
    text = markdown(done)
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return int(failed)


def _finished(done: list[dict[str, Any]], data_set: DataSet, seed: int) -> list[str]:
    return [line["strategy"] for line in done if (line["set"], line["seed"]) == (data_set.name, seed)]


def _one(
    data_set: DataSet, seed: int, skip: list[str], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], str | None]:
    command = [sys.executable, "-m", "benchmarks.method.worker", "--data", str(options.data), "--set", data_set.name]
    command += ["--seed", str(seed), *(part for name in options.only for part in ("--only", name))]
    command += [part for name in skip for part in ("--skip", name)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    error = f"{data_set.name}, seed {seed}: {ended.stderr.strip()[-2000:]}" if ended.returncode else None
    return lines, error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.method", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default: 5)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="runs at once (default: one per core)"
    )
    parser.add_argument("--set", action="append", default=[], help="only this data set (may be repeated)")
    parser.add_argument("--only", action="append", default=[], metavar="STRATEGY", help="only this strategy (likewise)")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--resume", action="store_true", help="keep what --out holds, and run what it lacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
