"""One replica of the service on a Ray cluster: a whole server process of our own, with its engine and batcher.

What differs from `python -m service`: Ray's proxy speaks HTTP, Ray decides how many replicas there are and which cores
and GPUs each has, and `/metrics` is the page of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from starlette.types import ASGIApp, Receive, Scope, Send

from service.cluster.metrics_page import together
from service.logs import configure
from service.run.application import create_app, lifecycle_of
from service.run.lifecycle import Lifecycle
from service.run.server import say_how_open
from service.run.settings import Settings, thread_counts

PAGES_WITHIN_S = 5.0
ANYWHERE = "0.0.0.0"  # noqa: S104 - the proxies decide on what to listen; the settings then ask for API keys


def settings_of(arguments: Mapping[str, Any]) -> Settings:
    """Settings of the Serve config, then MKD_* of the node. Raises ValidationError, also for want of keys."""
    return Settings(**{**arguments, "host": ANYWHERE})


def with_cores(settings: Settings, cores: float) -> Settings:
    """Threads for the cores that Ray has set aside for this replica, where the settings name none."""
    counts = thread_counts(settings, on_cpu=not ray.get_gpu_ids(), cores=max(1, int(cores)))
    return settings.model_copy(update={"torch_threads": counts.torch, "decode_threads": counts.decode})


@serve.ingress()
class Replica:
    """One server process. Ray routes to it once `check_health` has passed, and drains it before it ends."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        settings = settings_of(arguments)
        configure(settings.log_level)
        say_how_open(settings)
        assigned = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
        self._fast_app = create_app(with_cores(settings, assigned.get("CPU", 1.0)))
        self._lifecycle = lifecycle_of(self._fast_app)
        self._lifecycle.metrics_page = self.page_of_all

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return _with_state(self._fast_app, self._lifecycle)

    async def check_health(self) -> None:
        """Our readiness: raises where requests would not be judged. Ray replaces a replica that stays so."""
        ready, reason = self._lifecycle.ready()
        if not ready:
            raise RuntimeError(reason)

    async def own_page(self) -> tuple[str, str]:
        """This replica's name and metrics."""
        page = await self._lifecycle.own_metrics_page()
        return serve.get_replica_context().replica_id.unique_id, page.decode()

    async def page_of_all(self) -> bytes:
        """The metrics of all replicas that answer in time."""
        context = serve.get_replica_context()
        answers = (
            await serve.get_deployment_handle(context.deployment, context.app_name)
            .broadcast("own_page")
            .results_async(timeout_s=PAGES_WITHIN_S, return_exceptions=True)
        )
        return together(dict(answer for answer in answers if not isinstance(answer, Exception))).encode()


def _with_state(app: ASGIApp, lifecycle: Lifecycle) -> ASGIApp:
    """A server hands the lifespan's state to every request; Ray's replica does not, so it is done here."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"] = dict(lifecycle.state)
        await app(scope, receive, send)

    return asgi
