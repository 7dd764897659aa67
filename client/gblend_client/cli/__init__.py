"""The command `gblend`."""

from gblend_client.cli.main import app

__all__ = ["app"]
