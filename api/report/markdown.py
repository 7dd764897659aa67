"""Text that Markdown takes for text."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")
"""What begins something in CommonMark or ends a table's cell. An underscore inside a word does neither."""
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_BLANKS = re.compile(r"[\x00-\x20\x7f\x85\u2028\u2029]+")


def escape(value: Any) -> Any:
    """The value as text on one line without markup, links or HTML of its own; `Markup` stays as it is."""
    if isinstance(value, Markup):
        return value
    return _SPECIAL.sub(r"\\\g<0>", _BLANKS.sub(" ", str(value)).translate(_ENTITIES))
