"""Puts the ASGI application together: routes, problems, middleware and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from models.version import service_version
from service.rest import problems
from service.rest.app_state import AppState
from service.rest.middleware import RecordMiddleware
from service.rest.openapi import DESCRIPTION, document_of
from service.rest.prefix import PrefixMiddleware
from service.rest.request_checks import RequestChecks
from service.rest.routes import (
    admin,
    defect_groups,
    drift,
    events,
    export,
    infer,
    operation,
    recalibrations,
    reviews,
    session,
    statistics,
    stream,
    trainings,
    verdicts,
    what_if,
)

Running = Callable[[], AbstractAsyncContextManager[AppState]]
DOCS_ASSETS = "/docs/assets"
ROUTES = (
    infer,
    stream,
    operation,
    drift,
    admin,
    verdicts,
    statistics,
    reviews,
    events,
    export,
    defect_groups,
    recalibrations,
    what_if,
    trainings,
    session,
)


def rest_app(checks: RequestChecks, running: Running, more: Iterable[APIRouter] = ()) -> FastAPI:
    """The application, with the routers of further protocols.

    Nothing happens until its lifespan starts, which holds `running` for as long as it lasts.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with running() as state:
            yield state

    # The page's script and style come from a package: a line's network reaches no CDN.
    make = partial(FastAPIOffline, static_url=DOCS_ASSETS, redoc_url=None) if checks.options.openapi else FastAPI
    app = make(
        title="mkdserve",
        summary="Visual inspection as a service",
        description=DESCRIPTION,
        version=service_version(),
        lifespan=lifespan,
        openapi_url="/openapi.json" if checks.options.openapi else None,
        redirect_slashes=False,
        swagger_ui_parameters={"validatorUrl": None},  # else it shows the document to a validator in the internet
    )
    problems.install(app)
    app.add_middleware(RecordMiddleware, checks=checks)
    app.add_middleware(PrefixMiddleware, root_path=checks.options.root_path)
    for routes in ROUTES:
        app.include_router(routes.router)
    for router in more:
        app.include_router(router)
    app.openapi = lambda: document_of(app, keys_needed=checks.options.keys_needed)  # type: ignore[method-assign]
    return app
