"""Guess a data-set spec from the data: what `gblend init` writes.

A guess that a person is shown before it is used, with a reason for every line and for every column left out. Names and
values decide; no sample is decoded.
"""

from core.data.inference.infer import Inferred, infer

__all__ = ["Inferred", "infer"]
