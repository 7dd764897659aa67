"""Drives a run in its directory: opens the session, journals each event with its checkpoint, gives the exit code."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from core.data.dataset import prepare
from core.data.feature_cache import FeatureCache
from core.data.feature_pass import Telling
from core.data.features import Featuriser
from core.data.fingerprint import check_same_data
from core.data.hub import Hub
from core.data.problems import is_passing
from core.errors import DataError, GblendError, SpecError, TrainingError
from core.events import (
    EpochCompleted,
    EstimateEpoch,
    FineTuneEpoch,
    JobEvent,
    PretrainEpoch,
    RunFailed,
    SuperEpochWeights,
)
from core.events.messages import describe
from core.models.inputs import load_inputs
from core.models.pretrained import computed_by, load_frozen
from core.spec.recipe import RuntimeSpec
from core.training import checkpoint, spread
from core.training.distributed import DivergedError, Ranks
from core.training.files import replace as replace_file
from core.training.interim import InterimCheckpoints, save
from core.training.journal import Journal
from core.training.nodes import NodesMissingError
from core.training.plan import planned_samples, samples_done
from core.training.printing import log, name_lines
from core.training.progress import PreparationMeter, ProgressMeter, Stopped
from core.training.request import RunRequest
from core.training.run import estimate_head, run
from core.training.session import Session

EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, EXIT_MISSING = 0, os.EX_DATAERR, os.EX_TEMPFAIL, os.EX_UNAVAILABLE
EXIT_PASSING = os.EX_IOERR

FAILURE = "failure.json"
"""Why the run cannot go on now, though it may later: `{code, message, hint, errors}`."""
_CHECKPOINTED = (PretrainEpoch, EstimateEpoch, SuperEpochWeights, EpochCompleted, FineTuneEpoch)
"""Events at which counters have moved. The others begin something; a run that resumes before them tells them again.
Between events, and within passes, `InterimCheckpoints` are taken."""


def drive(run_dir: Path, should_stop: Callable[[], bool]) -> int:
    """Trains what `run_dir/spec.json` asks for, going on from the newest checkpoint there is; returns the exit code.

    Where torchrun has started several processes, each of them calls this; the first one alone writes.
    """
    request = RunRequest.from_json(json.loads((run_dir / "spec.json").read_bytes()))
    if request.head is not None:
        name_lines(request.head)
    try:
        ranks = Ranks.join(run_dir, request.nodes)
    except NodesMissingError as error:
        log.warning("the training does not begin: %s%s", error.detail, f"; {error.hint}" if error.hint else "")
        return EXIT_MISSING
    journal = None
    try:
        device = _prepare_torch(request.spec.runtime, ranks)
        log.info("preparing the data; training on %s%s", device, "" if ranks.is_alone else f", {ranks.size} processes")
        cache = FeatureCache(request.features or run_dir / "features", request.features_bytes)
        preparation = PreparationMeter(run_dir, epochs=request.spec.training.epochs, silent=ranks.local_rank != 0)
        telling = Telling(line=log.info, doing=preparation)
        featuriser = Featuriser(
            load_frozen(device),
            cache,
            telling,
            save_seconds=request.checkpoint_seconds,
            computed_by=computed_by(device),
            hub=None if request.hub is None else Hub(request.hub, preparation),
        )
        loading = replace(request.loading, scratch=run_dir)
        data = prepare(request.spec, request.roots, loading, featuriser, load_inputs, telling)
        session = Session(request.spec, data, device, ranks, estimates_alone=request.head)
        if ranks.nodes > 1:
            _agree_on_the_task(session)
        check_same_data(request.dataset_fingerprint, data.fingerprint)
        journal = _resume(session, request, run_dir)
        if request.estimates and not session.counters.decided:
            _join(session, request.estimates)
        interim = InterimCheckpoints(session, journal, run_dir, interval=request.checkpoint_seconds)
        meter = ProgressMeter(
            run_dir,
            total=planned_samples(session),
            done=samples_done(session),
            epochs=request.spec.training.epochs,
            # All processes stop at the same batch, whichever heard of it first.
            should_stop=lambda: ranks.any(should_stop()),
            between_steps=interim.between_steps,
            silent=ranks.local_rank != 0,
        )
        meter.epoch = session.counters.epoch
        steps = run if request.head is None else estimate_head
        for event in steps(session, meter, run_dir):
            commit(session, journal, event, run_dir)
            interim.begin_anew()
        code = EXIT_DONE
    except Stopped:
        log.info("stopped, as was asked for; the next attempt goes on from the last checkpoint")
        code = EXIT_STOPPED
    except (SpecError, DataError, TrainingError) as error:
        log.error("the run cannot go on: %s", error.code, exc_info=True)
        if is_passing(error):
            # Not in the journal: the run has not failed. Any of several processes may be the one that was not answered.
            replace_file(run_dir / FAILURE, json.dumps(error.to_json()).encode())
            code = EXIT_PASSING
        else:
            code = EXIT_FAILED
            if ranks.is_first:
                _tell_failure(journal or Journal(run_dir), error)
    ranks.leave()
    return code


def commit(session: Session, journal: Journal | None, event: JobEvent, run_dir: Path) -> None:
    """Checkpoint first, then publish: nobody ever sees an event that a resumed run does not know.

    Only the first process has a journal; the others lend their part of the checkpoint.
    """
    if journal is not None:
        journal.stage(event)
    if isinstance(event, _CHECKPOINTED):
        save(session, journal, run_dir)
    if journal is None:
        return
    journal.publish()
    level, message = describe(event)
    log.log(logging.getLevelNamesMapping()[level.upper()], message)


def _resume(session: Session, request: RunRequest, run_dir: Path) -> Journal | None:
    """Puts the session where the newest checkpoint was taken; the journal to go on with, of the first process alone."""
    found = _newest(session, request, run_dir)
    # Also a barrier: nobody removes what somebody else still reads.
    session.ranks.agree("the checkpoint to go on from", 0 if found is None else found.place)
    if found is not None:
        session.restore(found)
    if not session.ranks.is_first:
        return None
    (run_dir / "events.jsonl").unlink(missing_ok=True)
    if found is None:
        log.info("there is no checkpoint; the run begins at its beginning")
        return Journal(run_dir)
    done = session.counters.under_way.done
    log.info("going on from checkpoint %d%s", found.number, f", {done} steps into a pass" if done else "")
    return Journal(run_dir, found.journal)


def _agree_on_the_task(session: Session) -> None:
    """Each machine has read the data for itself."""
    digest = hashlib.sha256(json.dumps(session.identity, sort_keys=True).encode()).digest()
    try:
        session.ranks.agree("the data set", int.from_bytes(digest[:7], "big"))
    except DivergedError as error:
        raise DataError(
            "the machines of this job have different data under the same name",
            code="training.nodes_differ",
            hint="give every worker the same files, or name a queue whose workers have them",
        ) from error


def _newest(session: Session, request: RunRequest, run_dir: Path) -> checkpoint.Checkpoint | None:
    """What all processes go on from; on other machines than the first what that one has, and sends."""
    ranks, found = session.ranks, None
    if ranks.nodes == 1 or ranks.is_first:
        found, refused = checkpoint.load_newest([run_dir, *request.resume_from], session.identity)
        for error in refused:
            log.warning("a checkpoint was passed over: %s", error)
    if ranks.nodes == 1:
        return found
    sent = ranks.from_first(checkpoint.pack(found) if found is not None else b"")
    return found if ranks.is_first or not sent else checkpoint.unpack(sent, session.identity)


def _join(session: Session, files: Sequence[Path]) -> None:
    session.take_joined(spread.join([spread.read(path) for path in files], session.heads, session.identity))
    log.info("the heads were estimated by other processes: %s", ", ".join(session.heads))


def _tell_failure(journal: Journal, error: GblendError) -> None:
    journal.stage(
        RunFailed(
            code=error.code,
            message=error.detail,
            hint=error.hint,
            errors=tuple(issue.to_json() for issue in error.issues),
        )
    )
    journal.publish()


def _prepare_torch(runtime: RuntimeSpec, ranks: Ranks) -> torch.device:
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
    if runtime.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if ranks.is_alone:
        return torch.device("cuda")
    device = torch.device("cuda", ranks.local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
