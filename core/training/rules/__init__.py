"""How one batch becomes gradients: the blend of Eq. 7, and the rules of methods that one compares it with."""

from core.training.rules.base import Heads, Rule
from core.training.rules.blend import Blend
from core.training.rules.mmpareto import MMPareto
from core.training.rules.ogm_ge import OgmGe
from core.training.rules.uncertainty import Uncertainty

__all__ = ["Blend", "Heads", "MMPareto", "OgmGe", "Rule", "Uncertainty"]
