"""One sentence for people per training event."""

from __future__ import annotations

from core.events.types import (
    EpochCompleted,
    EstimateCompleted,
    EstimateEpoch,
    EstimateStarted,
    FineTuneEpoch,
    JobEvent,
    Measurement,
    PhaseStarted,
    PretrainEpoch,
    RunCompleted,
    RunFailed,
    RunStarted,
    SuperEpochWeights,
    Warned,
)

_PHASES = {
    "pretraining": "Training each modality alone",
    "estimating": "Estimating how each head generalises",
    "training": "Training with the blended loss",
    "fine_tuning": "Fine-tuning the fused head",
    "evaluating": "Evaluating on the test part",
    "saving": "Saving the model",
}


def describe(event: JobEvent) -> tuple[str, str]:
    """`(level, message)` of an event."""
    match event:
        case RunStarted():
            rows = ", ".join(f"{count} {part}" for part, count in event.counts.items())
            return "info", f"The data are ready ({rows}); heads: {', '.join(event.heads)}"
        case Warned():
            return "warning", event.message
        case PhaseStarted():
            of = "" if event.super_epoch is None else f" (super-epoch {event.super_epoch + 1})"
            return "info", f"{_PHASES[event.phase]}{of}"
        case PretrainEpoch():
            return "info", f"Pre-training: epoch {event.epoch} of {event.epochs} is over{_losses(event.measurements)}"
        case EstimateStarted():
            return "info", f"The estimate of the head {event.head} begins; {event.epochs} epochs"
        case EstimateEpoch():
            of = "" if event.head is None else f" of the head {event.head}"
            return "info", f"Estimate{of}: epoch {event.epoch} of {event.epochs} (super-epoch {event.super_epoch + 1})"
        case EstimateCompleted():
            return "info", f"The estimate of the head {event.head} is complete"
        case SuperEpochWeights():
            weights = ", ".join(f"{head.head} {head.weight:.3f}" for head in event.heads)
            why = f"; {event.reason}" if event.reason else ""
            level = "warning" if event.degenerate else "info"
            return level, f"Weights of super-epoch {event.super_epoch + 1}: {weights}{why}"
        case EpochCompleted():
            stops = "".join(
                f"; {', '.join(stop.heads)} back to epoch {stop.best_epoch}, the best"
                for stop in event.early_stopping
                if stop.over
            )
            return "info", f"Epoch {event.epoch} is over{_losses(event.measurements)}{stops}"
        case FineTuneEpoch():
            return "info", f"Fine-tune epoch {event.epoch} is over{_losses(event.measurements)}"
        case RunCompleted():
            score = event.test_score if event.test_score is not None else event.test_accuracy
            told = "" if score is None else f"; test {event.metric.replace('_', ' ')} {score:.4f}"
            return "info", f"The training is complete; the model answers with {event.answer}{told}"
        case RunFailed():
            return "error", event.message


def _losses(measurements: tuple[Measurement, ...]) -> str:
    train = [f"{m.head} {m.loss:.4f}" for m in measurements if m.split == "train" and m.loss is not None]
    return f"; train loss {', '.join(train)}" if train else ""
