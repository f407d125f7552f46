"""The Serve application (`service.cluster.application:app`) that a Ray Serve config deploys; its `args` are settings.

docker/ray-serve.yaml deploys it; docs/scaling.md says when that is worth it and when `--processes` is better.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.config import BackpressureConfig

from service.cluster.replica import Replica, settings_of
from service.machine.openmp import WAIT_POLICY
from service.run.settings import Settings

DEPLOYMENT = "inspection"
ROUTER = "service.cluster.router:ProductRouter"


def deployment(settings: Settings) -> serve.Deployment:
    """The replicas as Ray is to run them; a Serve config or `options` may say otherwise.

    A replica takes as many requests as its own admission may hold: there a full house becomes 429 with a measured
    Retry-After, and deadlines are known. Ray's queue is only for the moment in which no replica is there at all.
    """
    return serve.deployment(
        name=DEPLOYMENT,
        max_ongoing_requests=settings.max_waiting_images,
        max_queued_requests=settings.max_waiting_images,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1.0),
        request_router_config={"request_router_class": ROUTER},
        ray_actor_options={"num_cpus": 1, "runtime_env": {"env_vars": {WAIT_POLICY: "PASSIVE"}}},
        graceful_shutdown_timeout_s=settings.drain_s + 10,
        health_check_period_s=5,
        max_surge_percent=100,  # the new replica is ready before the old one goes
    )(Replica)


def app(args: dict[str, Any]) -> serve.Application:
    """Raises ValidationError for settings that do not go together, before anything is replaced."""
    return deployment(settings_of(args)).bind(args)
