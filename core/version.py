"""The version that is installed here."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Of the distribution; `0.0.0` for a checkout on the path that is not installed."""
    try:
        return metadata.version("gblend")
    except metadata.PackageNotFoundError:
        return "0.0.0"
