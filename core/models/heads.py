"""The classifiers at the end: dropout in front, perhaps a hidden layer, logits.

Shape letters: B = batch, F = features in front of the head, K = classes.
"""

from __future__ import annotations

from torch import Tensor, nn


class Head(nn.Module):
    """Dropout, an optional hidden layer, a linear classifier: [B, F] -> [B, K].

    `model.dropout` is the dropout here, on the features in front of every head (and behind the hidden layer, where
    there is one). With the naive strategy that is the paper's baseline "naive + dropout": dropout on the joined
    features, before the classifier that reads them.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or features, classes))

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, K]"""
        logits: Tensor = self.layers(features)
        return logits

    @property
    def classifier(self) -> nn.Linear:
        """The last layer, which gives the logits."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last
