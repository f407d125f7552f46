"""Base of what stands in line.toml: a member that nobody documented is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"
StationName = Annotated[str, Field(pattern=NAME_PATTERN)]


class LineSchema(BaseModel):
    """A table of line.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretFile(LineSchema):
    """A secret that stands in a file of its own, never in line.toml."""

    file: Path

    def read(self) -> str:
        """The file's text without the line's end; raises OSError."""
        return self.file.read_text(encoding="utf-8").strip()
