"""Gradient-Blending's arithmetic, free of torch: losses -> G, O, OGR -> weights; and the super-epochs.

Source of every equation and algorithm number: W. Wang, D. Tran, M. Feiszli, "What makes training multi-modal
classification networks hard?", CVPR 2020 (arXiv 1905.12681).
"""

from core.blend.ogr import HeadLosses, Overfitting, overfitting
from core.blend.policies import policy_weights
from core.blend.schedule import SuperEpoch, offline, online
from core.blend.weights import Decision, HeadWeight, Steering, decide, starved

__all__ = [
    "Decision",
    "HeadLosses",
    "HeadWeight",
    "Overfitting",
    "Steering",
    "SuperEpoch",
    "decide",
    "offline",
    "online",
    "overfitting",
    "policy_weights",
    "starved",
]
