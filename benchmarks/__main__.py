"""`make bench`: every benchmark, as Markdown on standard output. `python -m benchmarks startup` runs one."""

from __future__ import annotations

import sys

from benchmarks import estimate, startup

ALL = {"startup": startup.main, "estimate": estimate.main}


def main(names: list[str]) -> int:
    """Runs the benchmarks named, all by default."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names or ALL:
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
