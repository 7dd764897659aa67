"""A GPU machine needs little beside torch: the training process loads neither database, web nor queue library."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOREIGN = (
    "sqlalchemy",
    "alembic",
    "fastapi",
    "starlette",
    "celery",
    "kombu",
    "redis",
    "structlog",
    "pydantic_settings",
    "fsspec",
    "httpx",
    "typer",
)


def test_training_loads_nothing_of_the_service() -> None:
    code = f"import sys, core.training.drive; print([name for name in {FOREIGN!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_decoding_needs_no_torch() -> None:
    code = "import sys, core.data.dataset, core.data.validation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
