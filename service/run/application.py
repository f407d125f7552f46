"""The ASGI application of one server process, with the life of its parts behind it."""

from __future__ import annotations

from fastapi import FastAPI

from service.oip.routes import router as open_inference
from service.page.routes import router as page
from service.rest.app import rest_app
from service.run.assembly import assemble as assemble_components
from service.run.components import Assemble
from service.run.lifecycle import Lifecycle
from service.run.settings import Settings


def create_app(settings: Settings, assemble: Assemble = assemble_components) -> FastAPI:
    """The application for `settings`; `assemble` makes its components when the lifespan starts.

    Raises KeyFileError where the API keys cannot be read, SettingsError where the line cannot.
    """
    lifecycle = Lifecycle(settings, assemble)
    app = rest_app(lifecycle.checks, lifecycle.running, (open_inference, page))
    app.state.lifecycle = lifecycle
    return app


def lifecycle_of(app: FastAPI) -> Lifecycle:
    """The process behind `app`, for the server, which has no request to ask."""
    lifecycle = app.state.lifecycle
    assert isinstance(lifecycle, Lifecycle)
    return lifecycle
