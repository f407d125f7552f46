"""The trial's engine where none runs: Buildah with the vfs driver in chroot isolation; it needs root and no more.

Chroot isolation has no process namespace, so the service is a process of the host with its own root, user and mounts.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from docker.trial.commands import TrialError, output, shown
from docker.trial.running import Mount, Running, Setting, Status

ISOLATED = ["--isolation", "chroot", "--network", "host"]


def available() -> bool:
    """Whether Buildah is there and may be used."""
    return shutil.which("buildah") is not None and os.geteuid() == 0


class Store:
    """Buildah's own store, apart from the host's, so that nothing of the trial stays behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        places = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._buildah = ["buildah", *places, "--storage-driver", "vfs"]

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """`buildah` on this store with `arguments`."""
        return [*self._buildah, *arguments]

    def output(self, *arguments: str | Path) -> str:
        """What `buildah` with `arguments` writes to stdout; raises TrialError."""
        return output(self.command(*arguments))

    def remove(self) -> None:
        """Everything in it, and the store."""
        self.output("umount", "--all")
        self.output("rm", "--all")
        self.output("rmi", "--all", "--force")
        shutil.rmtree(self._folder, ignore_errors=True)


class BuildahContainer:
    """A container of an image whose root file system is mounted read-only, so that any number of runs may share it.

    Of the root, /run alone stays writable, and for root alone: Buildah makes and removes its own marks there.
    """

    def __init__(self, store: Store, image: str, temporary: Path) -> None:
        self._store = store
        self.name = store.output("from", image)
        self._root = store.output("mount", self.name)
        for place in (self._root, f"{self._root}/run"):
            output(["mount", "--bind", place, place])
        # A folder, as Buildah would remove the place of a tmpfs after the run and fail at that.
        self._temporary = temporary
        temporary.mkdir()
        temporary.chmod(0o1777)

    def _prepare(self, mounts: Sequence[Mount]) -> None:
        """Places for `mounts` to be mounted at, which nobody can make on a read-only root."""
        output(["mount", "--options", "remount,bind,rw", self._root])
        for mount in mounts:
            place = Path(self._root) / mount.inside.lstrip("/")
            if mount.host.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        output(["mount", "--options", "remount,bind,ro", self._root])

    def command(self, setting: Setting, command: Sequence[str]) -> list[str | Path]:
        """What runs `command` inside, as the image's user."""
        self._prepare(setting.mounts)
        options: list[str] = []
        for name, value in setting.environment.items():
            options += ["--env", f"{name}={value}"]
        for mount in (*setting.mounts, Mount(self._temporary, "/tmp", writable=True)):
            options += ["--volume", f"{mount.host}:{mount.inside}:{'rw' if mount.writable else 'ro'}"]
        return self._store.command("run", *ISOLATED, *options, self.name, "--", *command)

    def remove(self) -> None:
        """The container and its mounts."""
        output(["umount", f"{self._root}/run", self._root])
        self._store.output("rm", self.name)


class BuildahService:
    """The image's entrypoint under `buildah run`."""

    def __init__(self, entrypoint: Sequence[str | Path], health: Sequence[str | Path], log: Path) -> None:
        self._health, self._log = [*map(str, health)], log
        with log.open("wb") as stream:
            self._process = subprocess.Popen([*map(str, entrypoint)], stdout=stream, stderr=subprocess.STDOUT)

    def healthy(self) -> bool:
        """See `Running`."""
        if self._process.poll() is not None:
            raise TrialError(f"the service has ended:\n{self.log()[-2000:]}")
        return subprocess.run(self._health, capture_output=True, check=False).returncode == 0

    def status(self) -> Status:
        """See `Running`."""
        return Status.read(Path(f"/proc/{self._service()}/status").read_text(encoding="ascii"))

    def terminate(self, seconds: float) -> int:
        """See `Running`."""
        os.kill(self._service(), signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"the service did not end within {seconds:g} s of SIGTERM") from error

    def log(self) -> str:
        """See `Running`."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def remove(self) -> None:
        """See `Running`."""
        if self._process.poll() is None:
            os.kill(self._service(), signal.SIGKILL)
            self._process.wait()

    def _service(self) -> int:
        """The entrypoint's process, down the line from `buildah run` over its helpers."""
        process = self._process.pid
        while not Path(f"/proc/{process}/comm").read_text(encoding="utf-8").startswith("python"):
            # Of every thread, as a Go program may start a process from any.
            files = Path(f"/proc/{process}/task").glob("*/children")
            below = [number for file in files for number in file.read_text(encoding="ascii").split()]
            if not below:
                raise TrialError(f"no service below process {self._process.pid}")
            process = int(below[0])
        return process


class BuildahEngine:
    """Everything by the `buildah` command."""

    name = "buildah"

    def __init__(self, store: Store, folder: Path, build_arguments: dict[str, str]) -> None:
        self._store, self._folder = store, folder
        self._build_arguments = build_arguments
        self._containers: dict[str, BuildahContainer] = {}

    def _container(self, image: str) -> BuildahContainer:
        if image not in self._containers:
            self._containers[image] = BuildahContainer(self._store, image, self._folder / "tmp")
        return self._containers[image]

    def build(self, context: Path, target: str, image: str, secrets: dict[str, Path], log: Path) -> None:
        """See `Engine`. Docker's image format, as the other has no place for a HEALTHCHECK."""
        options = ["--format", "docker", "--target", target, "--tag", image]
        for name, value in self._build_arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        for name, file in secrets.items():
            options += ["--secret", f"id={name},src={file}"]
        shown(self._store.command("bud", *ISOLATED, *options, context), log)

    def size(self, image: str) -> str:
        """See `Engine`."""
        return self._store.output("images", "--noheading", "--format", "{{.Size}}", image)

    def run(self, setting: Setting, command: list[str]) -> str:
        """See `Engine`."""
        return output(self._container(setting.image).command(setting, command))

    def start(self, setting: Setting, port: int) -> Running:
        """See `Engine`."""
        image = json.loads(self._store.output("inspect", "--type", "image", setting.image))["Docker"]["config"]
        address = {"MKD_PORT": str(port), "MKD_HOST": "127.0.0.1"}  # there is no network of its own to hide in
        here = replace(setting, environment=setting.environment | address)
        container = self._container(setting.image)
        entrypoint = container.command(here, image["Entrypoint"])
        return BuildahService(
            entrypoint, container.command(here, image["Healthcheck"]["Test"][1:]), self._folder / "service.log"
        )

    def release(self) -> None:
        """See `Engine`."""
        while self._containers:
            self._containers.popitem()[1].remove()

    def clean(self) -> None:
        """See `Engine`."""
        self._store.remove()
