"""What callers learn of products and what operators ask of them, as the schemas of the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.rest.schemas import ProductName, Schema


class ProductSummary(Schema):
    """A product as the registry sees it."""

    name: str
    state: Literal["served", "resting", "loading", "unloaded", "refused"] = Field(
        description="served; resting (out of memory's budget, loads itself when asked); loading (found, no version is "
        "ready yet); unloaded (by an operator); refused (no version could be loaded, or its folder was removed)."
    )
    version: str | None = Field(description="The active version.")
    method: str | None
    hash: str | None
    versions: list[str] = Field(description="Versions on disk, lowest first; empty for a product without versions.")
    pinned: str | None = Field(description="The version that stays active whatever the folder brings.")
    previous: str | None = Field(description="What a rollback would return to.")
    leases: int = Field(description="Requests that use any of its versions now.")
    head_bytes: int = Field(description="Memory of its heads now.")
    problems: dict[str, str] = Field(description="Version -> why it was refused.")
    doubts: list[str] = Field(
        default=[],
        description="What to know before trusting the active version: why its training set was degenerate and "
        "accepted, and preprocessing that is out of date. Empty for a sound one.",
    )
    golden_check: str | None = Field(
        default=None,
        description="Which golden pictures of the active version were judged when it was loaded here: all, or 1 where "
        "all had passed before on this machine.",
    )
    note: str | None = Field(default=None, description="What will not survive a restart, and why; else null.")


class ProductList(Schema):
    """All products of the artifact folder."""

    products: list[ProductSummary]


class RatedThreshold(Schema):
    """A threshold, the false-reject rate asked for and the one that the calibration can promise."""

    value: float
    rate_asked: float
    rate_promised: float
    origin: str


class ProductDetail(ProductSummary):
    """A product with what its active artifact says of itself; null where it cannot be served."""

    image_size: int | None = None
    calibration_images: int | None = None
    smallest_false_reject: float | None = Field(
        default=None,
        description="The smallest max_false_reject that can be promised: 1 / (calibration images + 1), or what the "
        "weights of confirmed parts allow.",
    )
    smallest_fitted_false_reject: float | None = Field(
        default=None,
        description="The smallest max_false_reject that is answered from a fitted tail: an estimate, not a promise.",
    )
    threshold: RatedThreshold | None = None
    review_threshold: RatedThreshold | None = None


class VersionBody(BaseModel):
    """Body of the admin routes that name a version."""

    model_config = ConfigDict(extra="forbid")

    version: ProductName


class LoadBody(BaseModel):
    """Body of /load; without a version the one that should be active is meant."""

    model_config = ConfigDict(extra="forbid")

    version: ProductName | None = None
