"""The settings of the gradient loop, for the methods that are trained step by step."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class LoopSettings(BaseModel):
    """How many steps, over what batches, at which learning rate; a method's configuration inherits them.

    `average_decay` is that of the exponential moving average of the weights, 0 for none.
    """

    steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    average_decay: float = Field(default=0.995, ge=0, lt=1)
