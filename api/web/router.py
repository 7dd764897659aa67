"""Where the dashboard's pages and files are."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.openapi import problems
from api.schemas import IndexOut

router = APIRouter(tags=["service"])

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"
PAGES = (
    "/jobs",
    "/jobs/{id}",
    "/new",
    "/compare",
    "/experiments/{id}",
    "/datasets",
    "/datasets/{id}",
    "/models",
    "/models/{id}",
    "/workers",
)
"""Beside `/` itself. They are all the same document: `static/app.js` tells them apart."""

_SAFE = {
    # No inline script or style, nothing from elsewhere, and no way from a string to markup.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


class _Assets(StaticFiles):
    """Files of the dashboard; a browser asks each time whether its copy still holds."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(_SAFE)
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.endswith(".md"):  # notes for whoever maintains it
            path = "."
        return await super().get_response(path, scope)


def install(app: FastAPI) -> None:
    """Give `app` the pages and their files."""
    app.include_router(router)
    for page in PAGES:
        app.add_api_route(page, shell, methods=["GET"], include_in_schema=False)
    app.mount("/assets", _Assets(directory=_STATIC), name="assets")


@router.get(
    "/",
    operation_id="index",
    summary="Where things are",
    response_model=IndexOut,
    responses={**problems(), 200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def index(
    request: Request,
    accept: Annotated[str | None, Header(description="`text/html`: the dashboard, as a browser asks for it.")] = None,
) -> Response:
    """Links for programs that found only the address; the dashboard for browsers."""
    if "text/html" in (accept or ""):
        return await shell(request)
    links = {
        "jobs": "/v1/jobs",
        "experiments": "/v1/experiments",
        "datasets": "/v1/datasets",
        "workers": "/v1/workers",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": "/healthz",
        "ready": "/readyz",
    }
    found = IndexOut(version=request.app.version, links=links)
    return Response(found.model_dump_json(), media_type="application/json", headers={"vary": "accept"})


async def shell(request: Request) -> HTMLResponse:
    """The document of every page."""
    return HTMLResponse(_document(request.app.version), headers={**_SAFE, "vary": "accept"})


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> FileResponse:
    """Browsers ask for it whatever a page says."""
    return FileResponse(_STATIC / "icon.svg", media_type="image/svg+xml", headers=_SAFE)


@cache
def _document(version: str) -> str:
    """Every style sheet, and what each module imports at once rather than import by import."""
    styles = [_address(path) for folder in ("vendor", "style") for path in sorted((_STATIC / folder).glob("*.css"))]
    shared = [
        _address(path) for folder in ("vendor", "lib", "parts") for path in sorted((_STATIC / folder).glob("*.js"))
    ]
    return Template((_HERE / "shell.html").read_text(encoding="utf-8")).substitute(
        version=escape(version),
        styles="\n".join(f'<link rel="stylesheet" href="{address}">' for address in styles),
        modules="\n".join(f'<link rel="modulepreload" href="{address}">' for address in shared),
    )


def _address(path: Path) -> str:
    return f"/assets/{path.relative_to(_STATIC).as_posix()}"
