"""In: settings. Out: the ASGI application, and nothing else happens until its lifespan starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service.rest import problems
from service.rest.middleware import RecordMiddleware
from service.rest.openapi import DESCRIPTION, document_of
from service.rest.routes import admin, drift, infer, operation
from service.run.assembly import assemble as assemble_parts
from service.run.assembly import service_version
from service.run.settings import Settings
from service.run.state import Assemble, LifespanState, Service


def create_app(settings: Settings, assemble: Assemble = assemble_parts) -> FastAPI:
    """The application for `settings`; `assemble` makes engine, registry and metrics when the lifespan starts.

    Raises KeyFileError where the API keys cannot be read.
    """
    service = Service(settings, assemble)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[LifespanState]:
        async with service.running():
            yield {"service": service}

    app = FastAPI(
        title="mkdserve",
        summary="Visual inspection as a service",
        description=DESCRIPTION,
        version=service_version(),
        lifespan=lifespan,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.openapi else None,
        redirect_slashes=False,
    )
    app.state.service = service
    problems.install(app)
    app.add_middleware(RecordMiddleware, service=service)
    for routes in (infer, operation, drift, admin):
        app.include_router(routes.router)
    app.openapi = lambda: document_of(app, keys_needed=settings.auth_enabled)  # type: ignore[method-assign]
    return app
