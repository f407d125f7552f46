"""The calls about products and the service itself, and what an operator may do to them."""

from __future__ import annotations

import httpx

from mkdserve.client.calls import Call, get, post
from mkdserve.client.products import Drift, Health, ProductDetail, ProductList, ProductSummary, Readiness, Versions
from mkdserve.client.schema import read

ALSO_503 = frozenset({200, 503})  # a probe's answer has the same form for both


def health() -> Call[Health]:
    """Whether the process can help itself."""
    return get(Health, "healthz", statuses=ALSO_503)


def readiness() -> Call[Readiness]:
    """Whether requests will be judged, and why not."""
    return get(Readiness, "readyz", statuses=ALSO_503)


def versions() -> Call[Versions]:
    """What runs."""
    return get(Versions, "version")


def metrics() -> Call[str]:
    """All metrics in Prometheus' text format."""
    return Call(method="GET", path="/metrics", read=_text)


def products() -> Call[tuple[ProductSummary, ...]]:
    """Every product, also those that were refused, with the reason."""
    return Call(method="GET", path="/products", read=_products)


def product(name: str) -> Call[ProductDetail]:
    """One product: versions, thresholds, and what they promise."""
    return get(ProductDetail, "products", name)


def drift(name: str) -> Call[Drift]:
    """Whether parts and pictures are still as they were at calibration."""
    return get(Drift, "products", name, "drift")


def load(name: str, version: str | None = None) -> Call[ProductSummary]:
    """Read the folder anew; verify and warm a version up."""
    return post(ProductSummary, *_admin(name, "load"), json={"version": version} if version else None)


def activate(name: str, version: str) -> Call[ProductSummary]:
    """Make a version the active one and pin it."""
    return post(ProductSummary, *_admin(name, "activate"), json={"version": version})


def unpin(name: str) -> Call[ProductSummary]:
    """Follow the highest version again."""
    return post(ProductSummary, *_admin(name, "unpin"))


def rollback(name: str) -> Call[ProductSummary]:
    """Back to the version that was active before; a second time would return, so it is never asked for twice."""
    return post(ProductSummary, *_admin(name, "rollback"), repeatable=False)


def unload(name: str) -> Call[ProductSummary]:
    """Serve the product no more until load or activate."""
    return post(ProductSummary, *_admin(name, "unload"))


def reset_drift(name: str) -> Call[Drift]:
    """Begin the drift watch anew."""
    return post(Drift, "admin", "products", name, "drift", "reset")


def _admin(name: str, verb: str) -> tuple[str, ...]:
    return "admin", "products", name, verb


def _products(answer: httpx.Response) -> tuple[ProductSummary, ...]:
    return read(ProductList, answer).products


def _text(answer: httpx.Response) -> str:
    return answer.text
