"""A classifier small enough to differentiate by hand: linear encoders without bias, linear heads."""

import pytest
import torch

from core.models.classifier import MultimodalClassifier
from core.models.heads import Head


@pytest.fixture
def make_model():
    """Encoders [2] -> [2] for these modalities, uni-modal heads and a fused one, 2 classes; drawn from seed 0."""

    def make(*modalities):
        torch.manual_seed(0)
        heads = {name: Head(2, 2, hidden=0, dropout=0.0) for name in sorted(modalities)}
        encoders = {name: torch.nn.Linear(2, 2, bias=False) for name in sorted(modalities)}
        fused = Head(2 * len(modalities), 2, hidden=0, dropout=0.0)
        return MultimodalClassifier(encoders, heads | {"fused": fused})

    return make
