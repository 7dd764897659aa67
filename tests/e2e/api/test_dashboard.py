"""The dashboard as files: who gets it, with which headers, and that nothing comes from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import api.web
from api.web.router import PAGES
from tests.e2e.api.live import LiveApi

STATIC = Path(api.web.__file__).parent / "static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.suffix in (".js", ".css"))
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/", *(page.replace("{id}", "job_1") for page in PAGES)])
def test_a_browser_gets_the_page(api: LiveApi, path: str) -> None:
    response = api.client.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'", "'self'", "'self'")
    assert (policy["frame-ancestors"], policy["trusted-types"]) == ("'none'", "'none'")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r"(?:src|href)=\"(?!/)", response.text) == []


def test_a_program_gets_links(api: LiveApi) -> None:
    response = api.client.get("/")
    assert response.json()["links"]["jobs"] == "/v1/jobs"
    assert response.headers["vary"] == "accept"


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_and_asks_nobody_else(api: LiveApi, name: str) -> None:
    response = api.client.get(f"/assets/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] in ("text/javascript; charset=utf-8", "text/css; charset=utf-8")
    assert "content-security-policy" in response.headers
    again = api.client.get(f"/assets/{name}", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    if not name.startswith("vendor/"):  # comments in those name where an idea is from
        assert re.findall(r"https?://", response.text) == []
    for imported in re.findall(r"\b(?:from|import)\s*\(?\"([^\"\s]+)\"", response.text):
        assert imported.startswith("."), imported
        assert ((STATIC / name).parent / imported).resolve().is_file(), imported


@pytest.mark.parametrize("path", ["", "vendor/README.md", "../router.py", "%2e%2e/router.py", "lib", "nothing.js"])
def test_nothing_else_is(api: LiveApi, path: str) -> None:
    response = api.client.get(f"/assets/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_vendored_files_are_what_their_readme_says() -> None:
    told = re.findall(
        r"^\| `([\w.]+)` \|.*`([0-9a-f]{64})` \|$", (STATIC / "vendor/README.md").read_text(), re.MULTILINE
    )
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (STATIC / "vendor").glob("*.[jc]s*")}
    assert dict(told) == found


def test_our_own_code_makes_no_markup_from_text() -> None:
    ours = [path for path in STATIC.rglob("*.js") if path.parent.name != "vendor"]
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function|\"style\","
    )
    assert [path.name for path in ours if forbidden.search(path.read_text())] == []


def test_a_pages_own_style_reaches_no_other_page() -> None:
    shared = {"base.css", "layout.css", "charts.css"}
    for path in (STATIC / "style").glob("*.css"):
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL).strip()
        outermost = re.sub(r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}", "", rules).strip()
        if path.name not in shared:
            assert outermost == f".page-{path.stem}", path.name
