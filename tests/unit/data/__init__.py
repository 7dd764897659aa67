"""Unit tests of `core.data`."""
