"""What torchrun starts in each process: drives one run directory after the other (importing torch takes longest)."""

import sys
from pathlib import Path

from core.training.drive import EXIT_DONE, drive


def never() -> bool:
    """Nobody asks it to stop."""
    return False


if __name__ == "__main__":
    for run_dir in sys.argv[1:]:
        assert drive(Path(run_dir), never) == EXIT_DONE, run_dir
