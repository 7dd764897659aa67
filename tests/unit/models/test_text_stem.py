"""The built-in encoder of texts: padding counts in nothing, numbers by hand, and it learns what only order tells."""

from __future__ import annotations

import torch
from torch import nn

from core.models.encoders import TextStem


def test_mean_and_phrases_by_hand() -> None:
    stem = TextStem(codes=4, dropout=0.0)
    with torch.no_grad():
        stem.embedding.weight.zero_()
        stem.embedding.weight[2, 0], stem.embedding.weight[3, 0] = 1.0, 3.0
        stem.convolution.weight.zero_()
        stem.convolution.bias.zero_()
        # The first filter is: twice the word before, plus the word.
        stem.convolution.weight[0, 0, 0], stem.convolution.weight[0, 0, 1] = 2.0, 1.0
    found = stem(torch.tensor([[2.0, 3.0, 0.0, 0.0], [3.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert found.shape == (3, 192)
    assert found[:, 0].tolist() == [2.0, 2.0, 0.0]
    # 3 + 2 * 1 against 1 + 2 * 3; what stands over the padding (2 * 3, 2 * 1) does not count.
    assert found[:, 64].tolist() == [5.0, 7.0, 0.0]
    assert found.count_nonzero() == 4


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    stem = TextStem(codes=9, dropout=0.0).eval()
    short = torch.tensor([[4.0, 7.0, 2.0]])
    torch.testing.assert_close(stem(short), stem(nn.functional.pad(short, (0, 5))))


def test_word_order_is_learnt() -> None:
    """`2 3` against `3 2` among other words: a bag of words cannot tell them apart."""
    torch.manual_seed(0)
    codes = torch.randint(4, 12, (512, 8))
    labels = torch.arange(512) % 2
    place = torch.randint(0, 7, (512,))
    rows = torch.arange(512)
    codes[rows, place], codes[rows, place + 1] = 2 + labels, 3 - labels
    stem = TextStem(codes=12, dropout=0.0)
    model = nn.Sequential(stem, nn.Linear(stem.width, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(codes[:384].float()), labels[:384]).backward()
        optimizer.step()
    with torch.no_grad():
        right = (model(codes[384:].float()).argmax(1) == labels[384:]).float().mean()
    assert right > 0.95
