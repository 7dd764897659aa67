"""Samples of registered data sets: rows as JSON, media as small pictures and sounds.

Data are read, and files decoded, in processes of their own (`core.data.previews`), never in this one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.byte_ranges import UnsatisfiableRangeError, parse_range
from api.conditional import answer, conditional
from api.deps import LARGEST_SEQ, DatasetIdDep, IfNoneMatch, ProjectDep, ServicesDep
from api.errors import RequestError
from api.openapi import NOT_MODIFIED, POLLED_HEADERS, problems
from api.schemas import SampleListOut
from api.schemas.sample import AudioValueOut, ImageValueOut, PartName, VideoValueOut
from api.services import Services
from core.jobs.dataset_views import DatasetView

router = APIRouter(tags=["datasets"])

_SHOWN_HEADERS = {
    "cache-control": "private, max-age=300",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ETAG = {"ETag": POLLED_HEADERS["ETag"]}

RowPath = Annotated[int, Path(ge=0, le=LARGEST_SEQ, description="The row's number in the source, from 0.")]
ModalityPath = Annotated[str, Path(max_length=200, description="The modality's name.")]


@router.get(
    "/datasets/{dataset_id}/samples",
    operation_id="list_samples",
    summary="Look at samples",
    response_model=SampleListOut,
    responses={**problems(404, 409, 422, 429), **NOT_MODIFIED, 200: {"headers": _ETAG}},
)
def list_samples(
    request: Request,
    dataset_id: DatasetIdDep,
    services: ServicesDep,
    project: ProjectDep,
    part: Annotated[PartName | None, Query(description="`train` is T and `holdout` is V.")] = None,
    label: Annotated[
        str | None, Query(alias="class", max_length=500, description="Only rows of this class, or with this label.")
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=LARGEST_SEQ, description="`next_after` of the page before: a row's number.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="Rows of this page.")] = 12,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Rows in the order of the source, as they are now, and the parts that a job would put them in. A value that is
    missing or cannot be used is told as such. 409 `dataset.unreadable`: the data are no longer what was registered."""
    view = services.datasets.get(dataset_id, project=project)
    found = services.previewer.rows(_shelved(view, services), part=part, name=label, after=after, limit=limit)
    listed = SampleListOut.of(found, fingerprint=view.fingerprint)
    for sample in listed.data:
        for name, value in sample.values.items():
            if isinstance(value, ImageValueOut | AudioValueOut | VideoValueOut) and not (value.missing or value.error):
                place = {"dataset_id": dataset_id, "row": str(sample.row), "modality": quote(name, safe="")}
                value.preview = str(request.app.url_path_for("get_sample_preview", **place))
                if isinstance(value, AudioValueOut):
                    value.sound = str(request.app.url_path_for("get_sample_sound", **place))
    return answer(request, listed)


@router.get(
    "/datasets/{dataset_id}/samples/{row}/{modality}/preview",
    operation_id="get_sample_preview",
    summary="See one sample's file",
    response_class=Response,
    responses={
        **problems(404, 409, 422, 429),
        **NOT_MODIFIED,
        200: {"description": "The picture", "content": {"image/png": _BINARY}, "headers": _ETAG},
    },
)
def get_sample_preview(
    request: Request,
    dataset_id: DatasetIdDep,
    row: RowPath,
    modality: ModalityPath,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """An image's thumbnail, a sound's log-mel spectrogram as its model sees it (time to the right, frequency upwards,
    the loudest 80 dB), or four frames of a video side by side. A file that cannot be decoded is 422 with its code."""
    picture = _shown(services, dataset_id, project, "picture", row, modality)
    return conditional(request, picture, "image/png", headers=_SHOWN_HEADERS)


@router.get(
    "/datasets/{dataset_id}/samples/{row}/{modality}/sound",
    operation_id="get_sample_sound",
    summary="Hear one sample's file",
    response_class=Response,
    responses={
        **problems(404, 409, 416, 422, 429),
        **NOT_MODIFIED,
        200: {"description": "The sound", "content": {"audio/wav": _BINARY}, "headers": _ETAG},
        206: {"description": "The range that was asked for", "content": {"audio/wav": _BINARY}, "headers": _ETAG},
    },
)
def get_sample_sound(
    request: Request,
    dataset_id: DatasetIdDep,
    row: RowPath,
    modality: ModalityPath,
    services: ServicesDep,
    project: ProjectDep,
    if_none_match: IfNoneMatch = None,
    range: Annotated[str | None, Header(description="`bytes=first-last`: one range.")] = None,
) -> Response:
    """The first seconds of a sound, as many as its model hears and at most 10: a WAV of 16 bits, mono."""
    sound = _shown(services, dataset_id, project, "sound", row, modality)
    headers = {**_SHOWN_HEADERS, "accept-ranges": "bytes"}
    try:
        part = parse_range(range, len(sound))
    except UnsatisfiableRangeError:
        size = {"content-range": f"bytes */{len(sound)}"}
        raise RequestError(416, "request.range", f"the sound has {len(sound)} bytes", headers=size) from None
    whole = conditional(request, sound, "audio/wav", headers=headers)
    if part is None or whole.status_code != 200:
        return whole
    headers |= {"etag": whole.headers["etag"], "content-range": f"bytes {part.first}-{part.last}/{len(sound)}"}
    return Response(sound[part.first : part.last + 1], status_code=206, media_type="audio/wav", headers=headers)


def _shown(
    services: Services, dataset_id: str, project: str, wanted: Literal["picture", "sound"], row: int, modality: str
) -> bytes:
    view = services.datasets.get(dataset_id, project=project)
    return services.previewer.shown(_shelved(view, services), wanted, row, modality)


def _shelved(view: DatasetView, services: Services) -> Any:
    from core.data.previews.previewer import Shelved  # not at import: `core.data` is for processes that serve

    return Shelved(id=view.id, registration=view.spec, roots=services.settings.data_roots)
