"""The trial's engine where Docker runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from docker.trial.commands import TrialError, output, shown
from docker.trial.running import Running, Setting, Status

LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def available() -> bool:
    """Whether a Docker engine answers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def arguments(setting: Setting) -> list[str]:
    """The options of `docker run` for `setting`, without image and command."""
    options = [*LOCKED]
    for name, value in setting.environment.items():
        options += ["--env", f"{name}={value}"]
    for mount in setting.mounts:
        options += ["--volume", f"{mount.host}:{mount.inside}{'' if mount.writable else ':ro'}"]
    return options


class DockerService:
    """A container under Docker's name for it."""

    def __init__(self, container: str) -> None:
        self._container = container

    def _inspect(self, what: str) -> str:
        return output(["docker", "inspect", "--format", what, self._container])

    def healthy(self) -> bool:
        """See `Running`."""
        if self._inspect("{{.State.Running}}") != "true":
            raise TrialError(f"the service has ended:\n{self.log()[-2000:]}")
        return self._inspect("{{.State.Health.Status}}") == "healthy"

    def status(self) -> Status:
        """See `Running`; the service is process 1."""
        code = "print(open('/proc/1/status').read())"
        return Status.read(output(["docker", "exec", self._container, "python", "-c", code]))

    def terminate(self, seconds: float) -> int:
        """See `Running`."""
        output(["docker", "kill", "--signal", "TERM", self._container])
        try:
            done = subprocess.run(
                ["docker", "wait", self._container], capture_output=True, text=True, check=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"the service did not end within {seconds:g} s of SIGTERM") from error
        return int(done.stdout)

    def log(self) -> str:
        """See `Running`."""
        both = subprocess.run(["docker", "logs", self._container], capture_output=True, text=True, check=False)
        return both.stdout + both.stderr

    def remove(self) -> None:
        """See `Running`."""
        output(["docker", "rm", "--force", self._container])


class DockerEngine:
    """Everything by the `docker` command."""

    name = "docker"

    def __init__(self, build_arguments: dict[str, str]) -> None:
        self._build_arguments = build_arguments
        self._images: list[str] = []

    def build(self, context: Path, target: str, image: str, secrets: dict[str, Path], log: Path) -> None:
        """See `Engine`."""
        command: list[str | Path] = ["docker", "build", "--target", target, "--tag", image]
        for name, value in self._build_arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for name, file in secrets.items():
            command += ["--secret", f"id={name},src={file}"]
        shown([*command, context], log)
        self._images.append(image)

    def size(self, image: str) -> str:
        """See `Engine`."""
        return output(["docker", "images", "--format", "{{.Size}}", image])

    def run(self, setting: Setting, command: list[str]) -> str:
        """See `Engine`."""
        options = [*arguments(setting), "--entrypoint", command[0], "--network", "none"]
        return output(["docker", "run", "--rm", *options, setting.image, *command[1:]])

    def start(self, setting: Setting, port: int) -> Running:
        """See `Engine`."""
        options = [*arguments(setting), "--publish", f"127.0.0.1:{port}:8000"]
        return DockerService(output(["docker", "run", "--detach", *options, setting.image]))

    def release(self) -> None:
        """See `Engine`; every container has gone with its run."""

    def clean(self) -> None:
        """See `Engine`."""
        for image in self._images:
            output(["docker", "image", "rm", "--force", image])
