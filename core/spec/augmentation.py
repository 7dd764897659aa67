"""How the samples of a training batch are varied at random. Everything is off unless a spec says otherwise.

Values are varied after they have been standardised on the training part, so 0 is the training mean and 1 a standard
deviation of it. `core.training.augment` says what is drawn how.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from core.spec.base import Bool, Float, Int, SpecModel

_UpToHalf = Annotated[Float, Field(ge=0.0, le=0.5)]
_UpToOne = Annotated[Float, Field(ge=0.0, le=1.0)]
_Width = Annotated[Float, Field(gt=0.0, le=0.5)]
_Masks = Annotated[Int, Field(ge=0, le=16)]


class ImageAugment(SpecModel):
    """Variations of an image. What comes in from outside, or is erased, is 0: the training mean.

    Flips, shifts and crops by a few pixels: A. Krizhevsky et al., NeurIPS 2012, and K. He et al., CVPR 2016 (arXiv
    1512.03385). Erasing: Z. Zhong et al., AAAI 2020 (arXiv 1708.04896). The words are torchvision's.
    """

    flip: Bool = False
    """Mirror half of the images, left to right. Not for letters, digits or sides of the body."""
    shift: _UpToHalf = 0.0
    """By up to so much of the height and of the width, in whole pixels, in any direction."""
    rotate: Annotated[Float, Field(ge=0.0, le=180.0)] = 0.0
    """By up to so many degrees either way, about the centre (bilinear)."""
    erase: _UpToHalf = 0.0
    """A rectangle of up to so much of the area is erased."""
    brightness: _UpToOne = 0.0
    """Up to so many standard deviations of the training pixels are added or taken away, alike in every channel."""
    contrast: _UpToOne = 0.0
    """Differences from the image's own mean, channel by channel, are multiplied by a factor within 1 ± this."""


class AudioAugment(SpecModel):
    """SpecAugment: stretches of frames and of mel bands are set to 0, the training mean (D. Park et al., Interspeech
    2019, arXiv 1904.08779; without its time warp, which it finds to matter least). The words are torchaudio's."""

    time_masks: _Masks = 0
    """How many stretches of frames."""
    time_width: _Width = 0.1
    """Fraction of the frames: the width of each stretch is drawn from 0 up to it."""
    frequency_masks: _Masks = 0
    """How many stretches of neighbouring mel bands."""
    frequency_width: _Width = 0.1
    """Fraction of the bands, likewise."""
    shift: _UpToHalf = 0.0
    """By up to so much of the frames, earlier or later. What leaves at one end comes in at the other, silence after a
    short clip included."""


class TimeseriesAugment(SpecModel):
    """Variations of a series (T. T. Um et al., ICMI 2017, arXiv 1706.00527: jittering and scaling of wearables' data;
    for a survey B. K. Iwana, S. Uchida, PLOS ONE 2021, arXiv 2007.15951). Masks are SpecAugment's."""

    jitter: _UpToOne = 0.0
    """Standard deviation of the noise that is added, in standard deviations of the training part. Steps that are 0 in
    every channel, as behind a short series, get none."""
    scale: _UpToOne = 0.0
    """Every channel is multiplied by a factor of its own, normal with mean 1 and this standard deviation."""
    time_masks: _Masks = 0
    """How many stretches of steps are set to 0, the training mean."""
    time_width: _Width = 0.1
    """Fraction of the steps: the width of each stretch is drawn from 0 up to it."""
    shift: _UpToHalf = 0.0
    """By up to so much of the steps, earlier or later. What leaves at one end comes in at the other."""


Augment = ImageAugment | AudioAugment | TimeseriesAugment
