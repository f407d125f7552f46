"""Puts the ASGI application together: routes, problems, middleware and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from service.rest import problems
from service.rest.app_state import AppState
from service.rest.middleware import RecordMiddleware
from service.rest.openapi import DESCRIPTION, document_of
from service.rest.request_checks import RequestChecks
from service.rest.routes import admin, drift, infer, operation
from service.version import service_version

Running = Callable[[], AbstractAsyncContextManager[AppState]]


def rest_app(checks: RequestChecks, running: Running) -> FastAPI:
    """The application. Nothing happens until its lifespan starts, which holds `running` for as long as it lasts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with running() as state:
            yield state

    app = FastAPI(
        title="mkdserve",
        summary="Visual inspection as a service",
        description=DESCRIPTION,
        version=service_version(),
        lifespan=lifespan,
        redoc_url=None,
        openapi_url="/openapi.json" if checks.options.openapi else None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.add_middleware(RecordMiddleware, checks=checks)
    for routes in (infer, operation, drift, admin):
        app.include_router(routes.router)
    app.openapi = lambda: document_of(app, keys_needed=checks.options.keys_needed)  # type: ignore[method-assign]
    return app
