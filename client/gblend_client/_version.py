"""The client's version; a test holds it against pyproject.toml."""

__version__ = "0.1.0"
