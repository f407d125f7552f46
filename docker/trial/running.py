"""What both engines do for the trial: build an image, run one command in it, keep its service running."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host at a place inside."""

    host: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class Setting:
    """How a container is started."""

    image: str
    environment: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True)
class Status:
    """User id and resident bytes of a process."""

    user: int
    resident: int

    @classmethod
    def read(cls, text: str) -> Status:
        """From /proc/PID/status."""
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return cls(user=int(fields["Uid"].split()[0]), resident=1024 * int(fields["VmRSS"].split()[0]))


class Running(Protocol):
    """A service in a container."""

    def healthy(self) -> bool:
        """Whether the image's own HEALTHCHECK says so. Raises TrialError when the service has ended."""

    def status(self) -> Status:
        """The kernel's view of the service's process."""

    def terminate(self, seconds: float) -> int:
        """SIGTERM to the service's process, then its exit code. Raises TrialError when it outlives `seconds`."""

    def log(self) -> str:
        """What the service has written so far."""

    def remove(self) -> None:
        """Ends what still runs."""


class Engine(Protocol):
    """Docker, or Buildah where no engine runs."""

    name: str

    def build(self, context: Path, target: str, image: str, secrets: dict[str, Path], log: Path) -> None:
        """Builds `target` of the Dockerfile in `context` as `image`; raises TrialError with the end of the log."""

    def size(self, image: str) -> str:
        """How large the image is, as the engine says it."""

    def run(self, setting: Setting, command: list[str]) -> str:
        """What `command` in a container of its own writes to stdout; raises TrialError when it fails."""

    def start(self, setting: Setting, port: int) -> Running:
        """The image's entrypoint on 127.0.0.1:`port`, without root, privileges or a writable root file system."""

    def release(self) -> None:
        """Removes the containers; the image stays."""

    def clean(self) -> None:
        """Removes what else the trial has made, image included."""
