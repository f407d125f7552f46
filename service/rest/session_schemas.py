"""What is sent to log in, and what a session is shown as, as schemas of the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from service.rest.schemas import Schema


class SessionBody(BaseModel):
    """The key to log in with."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=256, description="An API key.")


class SessionReply(Schema):
    """Who asks, and what that allows."""

    name: str | None = Field(description="Name of the key; null where nobody is logged in, or there are no keys.")
    scopes: list[str] = Field(description="What may be done, with what it implies.")
    keys_needed: bool = Field(description="Whether the service has API keys at all.")
    csrf_token: str | None = Field(description="To send as X-CSRF-Token with what changes something.")
