"""Files that a job left behind: the list, and the bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response, StreamingResponse

from api.byte_ranges import ByteRange, UnsatisfiableRangeError, parse_range
from api.conditional import answer, matches
from api.deps import IfNoneMatch, JobIdDep, ProjectDep, ServicesDep
from api.errors import RequestError
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.schemas import ArtifactOut, ListOut
from core.errors import NotFoundError
from core.jobs.views import ArtifactView

router = APIRouter(tags=["artifacts"])

_CHUNK = 1 << 18
_MEDIA_TYPES = {".json": "application/json", ".csv": "text/csv; charset=utf-8", ".md": "text/markdown; charset=utf-8"}
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_HEADERS: dict[str, Any] = {
    "ETag": {"description": "The sha256", "schema": {"type": "string"}},
    "Repr-Digest": {"description": "The sha256 of the whole file (RFC 9530)", "schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"type": "string", "const": "bytes"}},
}
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    **problems(404, 416, 422),
    **NOT_MODIFIED,
    200: {"description": "The file", "content": _BYTES, "headers": _HEADERS},
    206: {"description": "The range that was asked for", "content": _BYTES, "headers": _HEADERS},
}


@router.get(
    "/jobs/{job_id}/artifacts",
    operation_id="list_artifacts",
    summary="List the files a job left behind",
    response_model=ListOut[ArtifactOut],
    responses={**problems(404, 422), **NOT_MODIFIED, 200: {"headers": POLLED_HEADERS}},
)
def list_artifacts(
    request: Request, job_id: JobIdDep, services: ServicesDep, project: ProjectDep, if_none_match: IfNoneMatch = None
) -> Response:
    """All of them, by name; there are none before the job succeeded."""
    job = services.jobs.get(job_id, project=project)
    views = services.jobs.artifacts(job_id, project=project)
    data = [
        ArtifactOut.of(view, href=request.app.url_path_for("get_artifact", job_id=job_id, name=quote(view.name)))
        for view in views
    ]
    listed = ListOut[ArtifactOut](data=data, has_more=False, next_after=data[-1].name if data else None)
    return answer(request, listed, settled=job.status.is_terminal)


@router.get(
    "/jobs/{job_id}/artifacts/{name:path}",
    operation_id="get_artifact",
    summary="Download a file",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
)
def get_artifact(
    request: Request,
    job_id: JobIdDep,
    name: Annotated[str, Path(description="The artifact's name.")],
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
    range: Annotated[str | None, Header(description="`bytes=first-last`: one range.")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", description="The range only if this is the ETag.")] = None,
) -> Response:
    """The bytes, streamed. Resume a download with `Range` and `If-Range`; check it against `sha256`."""
    if "\x00" in name:  # no database takes it
        raise NotFoundError("there is no such artifact", code="artifact.not_found")
    view = services.jobs.artifact(job_id, name, project=project)
    headers = _headers(view)
    if matches(if_none_match, headers["etag"]):
        return Response(status_code=304, headers=headers)
    part = _part(view, range if if_range in (None, headers["etag"]) else None)
    stored = services.artifacts.open(view.uri)
    media_type = _MEDIA_TYPES.get("." + name.rpartition(".")[2], "application/octet-stream")
    if part is None:
        headers["content-length"] = str(view.bytes)
        return StreamingResponse(_chunks(stored, 0, view.bytes), media_type=media_type, headers=headers)
    headers["content-length"] = str(part.length)
    headers["content-range"] = f"bytes {part.first}-{part.last}/{view.bytes}"
    body = _chunks(stored, part.first, part.length)
    return StreamingResponse(body, status_code=206, media_type=media_type, headers=headers)


def _part(view: ArtifactView, range: str | None) -> ByteRange | None:
    try:
        return parse_range(range, view.bytes)
    except UnsatisfiableRangeError:
        raise RequestError(
            416,
            "request.range",
            f"{view.name} has {view.bytes} bytes; the range begins behind them",
            headers={"content-range": f"bytes */{view.bytes}", "accept-ranges": "bytes"},
        ) from None


def _headers(view: ArtifactView) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(view.sha256)).decode()
    return {
        "etag": f'"{view.sha256}"',
        "repr-digest": f"sha-256=:{digest}:",
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": disposition(view.name),
    }


def disposition(name: str) -> str:
    """`attachment` under the last part of `name`: never shown in the page's origin, never a path (RFC 6266)."""
    base = name.rpartition("/")[2]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in base)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe='')}"


def _chunks(stored: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    with stored:
        stored.seek(first)
        left = length
        while left > 0 and (chunk := stored.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
