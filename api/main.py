"""The HTTP application. `uvicorn --factory api.main:create_app`, or `gblend-server api`, which also ends streams early.

Importing it is cheap: SQLAlchemy comes when the process starts; alembic, Celery and NumPy when somebody needs them;
torch never.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI

from api import errors
from api.middleware import RequestContextMiddleware, SendTimeoutMiddleware
from api.openapi import DESCRIPTION, document
from api.routers import (
    artifacts,
    checkpoints,
    datasets,
    experiments,
    history,
    jobs,
    lifecycle,
    logs,
    metrics,
    samples,
    service,
    stream,
    workers,
)
from api.services import start
from api.web import router as web
from core.settings import Settings
from core.version import version


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without `settings` this is a process's entry: they are read from the environment."""
    if settings is None:
        from api.logs import configure  # structlog, which is the process's affair and not the application's

        settings = Settings()
        configure(settings.log)
    app = FastAPI(
        title="gblend",
        summary="Gradient-Blending as a service",
        description=DESCRIPTION,
        version=version(),
        openapi_url="/openapi.json",
        docs_url=None,  # Swagger's page loads its assets from a CDN; /docs is our own
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(settings),
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(SendTimeoutMiddleware, seconds=settings.api.sse_send_timeout_seconds)
    app.add_middleware(RequestContextMiddleware, max_body_bytes=settings.api.max_body_bytes)
    web.install(app)
    app.include_router(service.router)
    app.include_router(metrics.router)
    # The limit is the router's, not the app's: the app's sits outside of our middleware and answers in plain text.
    v1 = APIRouter(prefix="/v1", max_body_size=settings.api.max_body_bytes)
    nouns = (jobs, lifecycle, history, stream, logs, artifacts, checkpoints, experiments, datasets, samples, workers)
    for noun in nouns:
        v1.include_router(noun.router)
    app.include_router(v1)
    return app


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            app.state.services = start(settings, stack)
            yield

    return lifespan
