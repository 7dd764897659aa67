"""What may be told of an error that a client of some store raised."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_VARIABLE = re.compile(r"(?:.*_)?(?:SECRET|TOKEN|PASSWORD|SECRET_KEY|ACCESS_KEY|ACCESS_KEY_ID|ACCOUNT_KEY)")
_SHORTEST_SECRET = 6


def public_text(error: BaseException, environment: Mapping[str, str] | None = None) -> str:
    """`Type: message` without what must not be told: user and password of a URL, values of secret variables."""
    text = _USER_INFO.sub("***@", f"{type(error).__name__}: {error}")
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_VARIABLE.fullmatch(name.upper()):
            text = text.replace(value, "***")
    return text
