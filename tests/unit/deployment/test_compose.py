"""docker-compose.yml and its Dockerfile, read as files; compose itself checks them where it is installed."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {"POSTGRES_PASSWORD": "one", "REDIS_PASSWORD": "two"}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def stages() -> dict[str, str]:
    """Target -> its part of the Dockerfile."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return {
        name: f"FROM {image}\n{body}" for image, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


def environment(service: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = service["environment"]
    return found


def test_the_services() -> None:
    assert set(compose()["services"]) == {"migrate", "api", "worker", "worker-gpu", "postgres", "redis"}


def test_every_image_is_built_from_the_one_dockerfile() -> None:
    targets = {name: service["build"] for name, service in compose()["services"].items()}
    assert targets == {
        "migrate": {"context": ".", "target": "api"},
        "api": {"context": ".", "target": "api"},
        "worker": {"context": ".", "target": "worker"},
        "worker-gpu": {"context": ".", "target": "worker"},
        "postgres": {"context": ".", "target": "postgres"},
        "redis": {"context": ".", "target": "redis"},
    }
    assert {build["target"] for build in targets.values()} <= set(stages())


def test_the_images_have_every_extra_that_an_operator_can_use(tmp_path: Path) -> None:
    """The very lines that the image runs, up to the first installation."""
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    (command,) = re.findall(
        r"^RUN (python -c .+?)\\\n +&& pip install", stages()["dependencies"], re.MULTILINE | re.DOTALL
    )
    script = command.replace("\\\n", " ").replace("python -c", f"{sys.executable} -c", 1)
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True)
    worker = _names((tmp_path / "requirements.txt").read_text())
    api = _names((tmp_path / "requirements.api.txt").read_text())
    assert {"fastapi", "torch", "transformers", "tokenizers", "av", "s3fs", "gcsfs"} <= worker
    assert worker - api == {"torch", "transformers", "tokenizers"}


def _names(requirements: str) -> set[str]:
    return {re.split(r"[\[><=]", line)[0] for line in requirements.splitlines()}


def test_everything_that_stays_up_has_a_health_check() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"migrate"}
    for name, service in services.items():
        if name != "migrate":
            assert set(service["healthcheck"]) >= {"test", "interval", "timeout", "retries"}, name


def test_nothing_starts_before_the_schema_is_there() -> None:
    services = compose()["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("api", "worker", "worker-gpu"):
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
        }


def test_the_gpu_worker_waits_for_its_profile_and_reserves_the_devices() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "profiles" in service] == ["worker-gpu"]
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    assert services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]


def test_a_password_that_is_not_set_is_an_error_and_none_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]*PASSWORD)(\S*)", text)) == {
        ("POSTGRES_PASSWORD", ":?set"),
        ("REDIS_PASSWORD", ":?set"),
    }
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) <= set(re.findall(r"^([A-Z_]+)=", example(), flags=re.MULTILINE))
    assert re.findall(r"^[A-Z_]*PASSWORD=(.*)$", example(), flags=re.MULTILINE) == ["", ""]


def example() -> str:
    return (ROOT / ".env.example").read_text()


def test_the_api_is_published_on_the_loopback_address_only() -> None:
    services = compose()["services"]
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "api": ["127.0.0.1:${GBLEND_PORT:-8000}:8000"]
    }


def test_the_settings_that_compose_hands_over_exist() -> None:
    known = set(Settings.model_fields)
    for name in ("migrate", "api", "worker", "worker-gpu"):
        for variable in environment(compose()["services"][name]):
            if variable not in ("GBLEND_READY_FILE", "CUDA_VISIBLE_DEVICES") and not variable.startswith("AWS_"):
                area, _, field = variable.removeprefix("GBLEND_").lower().partition("__")
                assert area in known
                assert field in type(Settings.model_fields[area].default).model_fields, variable


def test_our_images_run_as_nobody_special_with_one_torch_thread() -> None:
    found = stages()
    for name in ("api", "worker"):
        assert re.search(r"^USER gblend$", found[name], flags=re.MULTILINE), name
        assert found[name].startswith("FROM runtime\n")
    for setting in ("OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=PASSIVE", "PYTHONPATH=/app"):
        assert setting in found["runtime"]


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == let_in
    for name in names:
        assert (ROOT / name).exists(), name
        assert not fnmatch.fnmatch(name, ".*")


def test_compose_accepts_the_file() -> None:
    command = _compose_command()
    if command is None:
        pytest.skip("NOT TESTED: neither `docker compose` nor docker-compose is installed here")
    config = [*command, "--profile", "gpu", "--file", str(ROOT / "docker-compose.yml"), "config"]
    bare = {name: value for name, value in os.environ.items() if name not in SECRETS}
    done = subprocess.run(config, cwd=ROOT, env={**bare, **SECRETS}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    url = environment(yaml.safe_load(done.stdout)["services"]["api"])["GBLEND_DATABASE__URL"]
    assert url == "postgresql://gblend:one@postgres:5432/gblend"
    if not (ROOT / ".env").exists():
        refused = subprocess.run(config, cwd=ROOT, env=bare, capture_output=True, text=True)
        assert refused.returncode != 0
        assert "PASSWORD in .env" in refused.stderr


def _compose_command() -> list[str] | None:
    if shutil.which("docker"):
        done = subprocess.run(["docker", "compose", "version"], capture_output=True)
        if done.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None
