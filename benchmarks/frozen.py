"""What a whole online G-Blend run over a frozen encoder costs beside its parts, as ratios within one run.

    python -m benchmarks frozen

A model of texts of the size of MiniLM (random weights: the time is the same), 1,500 texts, online G-Blend with
four super-epochs. The parts: one pass of every text through the model, and the same training over features that are
there already. Target: the whole costs at most 1.2 times the sum of both. A second job with another seed finds all
features. All in one process, in turn, one thread.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from core.data.dataset import prepare
from core.data.feature_cache import FeatureCache
from core.data.features import Featuriser
from core.data.modalities.base import State
from core.data.pretrained import PretrainedFiles
from core.models.pretrained import load_frozen
from core.spec import JobSpec
from core.training.progress import ProgressMeter
from core.training.run import run
from core.training.session import Session

ROUNDS, ROWS, WORDS, EPOCHS = 3, 1500, 24, 16
CPU = torch.device("cpu")


def main() -> None:
    """Measures and prints a table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="gblend-bench-") as name:
        folder = Path(name)
        _make(folder)
        rounds = [_round(folder, number) for number in range(ROUNDS)]
    whole, once, heads, again = (median(row[place] for row in rounds) for place in range(4))
    ratios = [row[0] / (row[1] + row[2]) for row in rounds]
    print(f"| {ROWS} texts, {EPOCHS} epochs, 4 super-epochs | seconds |")
    print("|---|---|")
    print(f"| one pass of all texts through the model | {once:.1f} |")
    print(f"| the run over features that are there | {heads:.1f} |")
    print(f"| the whole run, nothing kept before | {whole:.1f} |")
    print(f"| a second job with another seed | {again:.1f} |")
    print(f"| **whole / (pass + heads)** | **{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) |\n")


def _round(folder: Path, number: int) -> tuple[float, float, float, float]:
    """Seconds of the whole, of the pass alone, of the heads alone, and of a second job."""
    passes: list[float] = []
    spec = _spec(seed=0)
    whole = _timed(lambda: _train(spec, folder, folder / f"kept-{number}", passes))
    again = _timed(lambda: _train(_spec(seed=1), folder, folder / f"kept-{number}", []))
    heads = _timed(lambda: _train(spec, folder, folder / f"kept-{number}", []))
    alone: list[float] = []
    _prepare(spec, folder, folder / f"alone-{number}", alone)
    return whole, sum(alone), heads, again


def _train(spec: JobSpec, folder: Path, kept: Path, passes: list[float]) -> None:
    session = Session(spec, _prepare(spec, folder, kept, passes), CPU)
    with tempfile.TemporaryDirectory(dir=folder) as run_dir:
        meter = ProgressMeter(
            Path(run_dir), total=10**9, done=0, epochs=spec.training.epochs, should_stop=lambda: False
        )
        for _ in run(session, meter, Path(run_dir)):
            pass


def _prepare(spec: JobSpec, folder: Path, kept: Path, passes: list[float]) -> Any:
    """Prepared data; the seconds that the model itself took, its loading included, are added to `passes`."""
    load = load_frozen(CPU)

    def timed(files: PretrainedFiles, how: State, pointer: str) -> Any:
        began = time.perf_counter()
        model = load(files, how, pointer)
        passes.append(time.perf_counter() - began)

        class Model:
            def features(self, samples: Sequence[Any]) -> Any:
                began = time.perf_counter()
                found = model.features(samples)
                passes.append(time.perf_counter() - began)
                return found

        return Model()

    return prepare(spec, {"data": folder, "models": folder}, featuriser=Featuriser(timed, FeatureCache(kept, 2**32)))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _spec(seed: int) -> JobSpec:
    return JobSpec.model_validate(
        {
            "seed": seed,
            "dataset": {
                "source": {"type": "manifest", "uri": "data://texts.csv"},
                "target": {"column": "label"},
                "modalities": [
                    {
                        "name": "text",
                        "type": "text",
                        "column": "text",
                        "encoder": {"type": "transformers", "path": "models://model"},
                    },
                    {"name": "table", "type": "tabular", "columns": [{"name": "x", "type": "number"}]},
                ],
            },
            "blending": {"strategy": "online", "super_epochs": {"first": 4, "later": 4}},
            "training": {"epochs": EPOCHS},
        }
    )


def _make(folder: Path) -> None:
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=1000,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        pad_token_id=0,
    )
    lines: Any = transformers.logging
    lines.disable_progress_bar()
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder / "model")
    tokenizer = Tokenizer(WordLevel({"[UNK]": 1, **{f"w{k}": k + 2 for k in range(900)}}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    draw = np.random.default_rng(0)
    with (folder / "texts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "x", "label"])
        for row in range(ROWS):
            words = [f"w{k}" for k in draw.integers(900, size=WORDS)]
            writer.writerow([" ".join(words), row % 7, "abc"[row % 3]])


if __name__ == "__main__":
    main()
