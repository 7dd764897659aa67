"""What it costs that attention of trained encoders is computed step by step (`eager`): a training step, on a CPU.

    python -m benchmarks attention

A BERT of two layers as wide as MiniLM's (random weights: the time is the same), forwards and backwards, with either
implementation in turn; above 1 the fused one (`sdpa`) is faster. One thread.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import nn

ROUNDS, LAYERS, WIDTH = 11, 2, 384
SHAPES = ((8, 128), (2, 512))
"""Texts in a batch, and tokens of each."""


def main() -> None:
    """Measures and prints a table."""
    torch.set_num_threads(1)
    print("| batch | eager, s | fused, s | eager / fused (least to most) |")
    print("|---|---|---|---|")
    for texts, tokens in SHAPES:
        eager, fused = _model("eager"), _model("sdpa")
        _step(eager, texts, tokens), _step(fused, texts, tokens)  # the first of each pays for more
        rounds = [(_step(eager, texts, tokens), _step(fused, texts, tokens)) for _ in range(ROUNDS)]
        ratios = [slow / fast for slow, fast in rounds]
        slow, fast = (median(row[place] for row in rounds) for place in range(2))
        told = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {texts} texts of {tokens} tokens | {slow:.2f} | {fast:.2f} | {told} |", flush=True)


def _model(attention: str) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=1000,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=12,
        intermediate_size=4 * WIDTH,
    )
    build: Any = transformers.AutoModel.from_config
    model: nn.Module = build(config, attn_implementation=attention)
    return model.train()


def _step(model: nn.Module, texts: int, tokens: int) -> float:
    """Seconds of one step over a batch in which one text is half padding."""
    ids = torch.randint(0, 1000, (texts, tokens))
    there = torch.ones_like(ids)
    there[0, tokens // 2 :] = 0
    begun = time.perf_counter()
    model(input_ids=ids, attention_mask=there).last_hidden_state.sum().backward()
    return time.perf_counter() - begun
