"""`make bench`: what takes minutes, as Markdown on standard output. `python -m benchmarks startup` runs one.

`reliability` runs only where it is named: it starts servers, kills processes and takes ten minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import attention, dashboard, data, estimate, estimators, frozen, spread, startup
from benchmarks.reliability.__main__ import main as reliability

BY_DEFAULT: dict[str, Callable[[], object]] = {
    "startup": startup.main,
    "estimate": estimate.main,
    "estimators": estimators.main,
    "data": data.main,
}
ALL = BY_DEFAULT | {
    "attention": attention.main,
    "dashboard": dashboard.main,
    "frozen": frozen.main,
    "spread": spread.main,
    "reliability": lambda: reliability([]),
}


def main(names: list[str]) -> int:
    """Runs the benchmarks named, by default those of `BY_DEFAULT`."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names or BY_DEFAULT:
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
