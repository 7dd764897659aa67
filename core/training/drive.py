"""Drives a run in its directory: opens the session, journals each event with its checkpoint, gives the exit code."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from core.data.dataset import prepare
from core.errors import DataError, GblendError, SpecError, TrainingError
from core.events import (
    EpochCompleted,
    EstimateEpoch,
    FineTuneEpoch,
    JobEvent,
    RunFailed,
    SuperEpochWeights,
)
from core.spec.recipe import RuntimeSpec
from core.training import checkpoint
from core.training.journal import Journal
from core.training.progress import ProgressMeter, Stopped
from core.training.run import run
from core.training.session import RunRequest, Session, planned_samples, samples_done

EXIT_DONE, EXIT_FAILED, EXIT_STOPPED = 0, os.EX_DATAERR, os.EX_TEMPFAIL

_CHECKPOINTED = (EstimateEpoch, SuperEpochWeights, EpochCompleted, FineTuneEpoch)
"""Events at which counters have moved. The others begin something; a run that resumes before them tells them again."""


def drive(run_dir: Path, should_stop: Callable[[], bool]) -> int:
    """Trains what `run_dir/spec.json` asks for, going on from the newest checkpoint there is; returns the exit code."""
    request = RunRequest.from_json(json.loads((run_dir / "spec.json").read_bytes()))
    journal = None
    try:
        device = _prepare_torch(request.spec.runtime)
        session = Session(request.spec, prepare(request.spec, request.roots), device)
        journal = _resume(session, request, run_dir)
        meter = ProgressMeter(
            run_dir,
            total=planned_samples(session),
            done=samples_done(session.counters),
            epochs=request.spec.training.epochs,
            should_stop=should_stop,
        )
        meter.epoch = session.counters.epoch
        for event in run(session, meter, run_dir):
            _commit(session, journal, event, run_dir)
    except Stopped:
        return EXIT_STOPPED
    except (SpecError, DataError, TrainingError) as error:
        traceback.print_exc()
        return _fail(journal or Journal(run_dir), error)
    return EXIT_DONE


def _commit(session: Session, journal: Journal, event: JobEvent, run_dir: Path) -> None:
    """Checkpoint first, then publish: nobody ever sees an event that a resumed run does not know."""
    journal.stage(event)
    if isinstance(event, _CHECKPOINTED):
        checkpoint.save(
            run_dir,
            journal,
            identity=session.identity,
            counters=session.counters_json(),
            tensors=session.tensors(),
        )
    journal.publish()


def _resume(session: Session, request: RunRequest, run_dir: Path) -> Journal:
    found, refused = checkpoint.load_newest([run_dir, *request.resume_from], session.identity)
    for error in refused:
        print(f"passed over: {error}")
    (run_dir / "events.jsonl").unlink(missing_ok=True)
    if found is None:
        return Journal(run_dir)
    print(f"going on from checkpoint {found.number}")
    session.restore(found)
    return Journal(run_dir, found.journal)


def _fail(journal: Journal, error: GblendError) -> int:
    journal.stage(
        RunFailed(
            code=error.code,
            message=error.detail,
            hint=error.hint,
            errors=tuple(issue.to_json() for issue in error.issues),
        )
    )
    journal.publish()
    return EXIT_FAILED


def _prepare_torch(runtime: RuntimeSpec) -> torch.device:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise SpecError(
            "the spec asks for a CUDA device and this worker has none",
            code="runtime.no_cuda",
            hint="set runtime.device to 'auto' or 'cpu', or start a worker on a GPU machine",
        )
    if runtime.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    return torch.device("cpu" if runtime.device == "cpu" or not torch.cuda.is_available() else "cuda")
