"""The service under test with all that it stands on: folders, an audit disk that can be full, a clock that can step."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.harness.service_process import ServiceFailed, ServiceProcess, free_port
from tests.chaos.site import PRODUCTS, Site, make_site, write_product
from tests.chaos.stand_in_service import CLOCK_FILE, SECONDS

MODULE = ("tests.chaos.stand_in_service",)
PROCESSES = 2
FLAGS = (
    *("--processes", str(PROCESSES), "--torch-threads", "1", "--decode-threads", "1", "--max-batch", "8"),
    *("--watch-s", "0.5", "--removed-after-s", "1.5", "--max-waiting-images", "64", "--max-images", "16"),
    *("--max-body-bytes", "16000000", "--max-image-bytes", "8000000", "--max-waiting-bytes", "64000000"),
    *("--header-timeout-s", "1", "--body-pause-s", "1", "--body-timeout-s", "3", "--send-timeout-s", "1"),
    *("--audit-keep-mb", "8", "--audit-file-mb", "1", "--audit-sync-s", "0.2", "--drain-s", "10"),
)
DISK_BYTES = 24 << 20
GIVEN_UP = "audit records given up at the stop"
SPARE_VERSION = "3"


class World:
    """Made by `opened`. Whatever a schedule has taken away, `heal` gives back."""

    def __init__(self, root: Path, site: Site, disk: Disk) -> None:
        self.site = site
        self.disk = disk
        self.spare = root / "spare"  # a further version of each product, and one whose source nobody has
        self.foreign = root / "foreign"
        self.away = root / "away"
        self.port = free_port()
        self.starts_s: list[float] = []  # of each start, less what it has waited for a core
        self.given_up = 0  # records of the audit trail that were lost at a stop and told in the log
        self._clock = root / "clock"
        self._service: ServiceProcess | None = None

    @property
    def service(self) -> ServiceProcess:
        """The one that runs."""
        assert self._service is not None
        return self._service

    @property
    def artifacts(self) -> Path:
        return self.site.artifacts

    @property
    def audit(self) -> Path:
        return self.disk.folder / "audit"

    def start(self) -> None:
        """Start the service, on the port that it had before."""
        own = ("--port", str(self.port), "--audit-folder", str(self.audit))
        flags = (*FLAGS, *own, "--state-file", str(self.disk.folder / "state.json"))
        self.step_clock(0.0)
        service = ServiceProcess(self.artifacts, *flags, module=MODULE)
        service.port = self.port
        self._service = service.__enter__()
        self.starts_s.append(max(0.0, service.ready_after_s - self.waited_s()))

    def stop(self) -> None:
        """SIGTERM, and wait. Raises ServiceFailed for an exit code other than 0."""
        self.service.__exit__(None, None, None)
        told = [event for event in self.service.events() if event["event"] == GIVEN_UP]
        self.given_up += sum(int(event["records"]) for event in told)

    def kill_parent(self) -> None:
        """The parent dies without a word; its processes have to notice by themselves."""
        self.service.signal(signal.SIGKILL)
        with suppress(ServiceFailed):
            self.service.__exit__(None, None, None)

    def servers(self) -> list[psutil.Process]:
        """The server processes that are alive."""
        with suppress(psutil.NoSuchProcess):
            return [child for each in self._fork_servers() for child in each.children()]
        return []

    def waited_s(self) -> float:
        """Seconds for which the service has waited for a core that something else had.

        Its parent, the process that imports torch and forks, and one server begin one after the other.
        """
        with suppress(psutil.NoSuchProcess):
            one_after_another = (self.service.pid, *(each.pid for each in self._fork_servers()))
            servers = [waited_of(server.pid) for server in self.servers()]
            return sum(waited_of(pid) for pid in one_after_another) + max(servers, default=0.0)
        return 0.0

    def _fork_servers(self) -> list[psutil.Process]:
        return [*filter(is_fork_server, psutil.Process(self.service.pid).children())]

    def step_clock(self, seconds: float) -> None:
        """The service's wall clock is off by so much from here on."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:  # in place: it is mapped by others
            file.write(SECONDS.pack(seconds))

    def put_away(self, path: Path) -> None:
        """Move a folder out of the artifacts, where it is there and has not been moved already."""
        self.away.mkdir(exist_ok=True)
        place = self.away / "__".join(path.relative_to(self.artifacts.parent).parts)
        if path.exists() and not place.exists():
            path.rename(place)

    def bring_back(self) -> None:
        """Every folder where it was; what stands in its place goes."""
        for path in sorted(self.away.iterdir()) if self.away.exists() else ():
            home = self.artifacts.parent.joinpath(*path.name.split("__"))
            if home.exists():
                shutil.rmtree(home)
            home.parent.mkdir(exist_ok=True)
            path.rename(home)

    def heal(self) -> None:
        """The disk has room, the folders are back, extra versions are gone, the clock is right, nobody is frozen."""
        self.disk.empty()
        self.bring_back()
        for product in PRODUCTS:
            for extra in self.artifacts.joinpath(product).glob("[3-9]*"):
                shutil.rmtree(extra)
        self.step_clock(0.0)
        for server in self.servers():
            with suppress(psutil.NoSuchProcess):
                server.resume()


def is_fork_server(process: psutil.Process) -> bool:
    """Whether the server processes are its children; multiprocessing has a tracker besides."""
    try:
        return any("forkserver" in word for word in process.cmdline())
    except psutil.Error:
        return False


def waited_of(pid: int) -> float:
    """Seconds that the thread of a process that waited most was runnable and did not run; 0 where nothing tells."""
    waited = [0]
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            waited.append(int(file.read_text().split()[1]))
    return max(waited) / 1e9


class Disk:
    """A small file system for the audit trail and the state file.

    A tmpfs where this process may mount one; else a plain folder whose files may not grow while it is "full"
    (RLIMIT_FSIZE of the servers), which fails writes with EFBIG instead of ENOSPC.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        self._limited: list[psutil.Process] = []
        self.is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
        self._ballast = folder / "ballast"

    def fill(self, servers: list[psutil.Process]) -> None:
        """Not a byte more can be written."""
        if self.is_mounted:
            with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))
        else:
            self._limit(servers, 1)
            self._limited = servers

    def empty(self) -> None:
        """Room again."""
        self._ballast.unlink(missing_ok=True)
        if not self.is_mounted:
            self._limit(self._limited, resource.RLIM_INFINITY)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    @staticmethod
    def _limit(servers: list[psutil.Process], size: int) -> None:
        for server in servers:
            with suppress(OSError):
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def opened(root: Path) -> Iterator[World]:
    """A service with two processes and three products in `root`, an empty folder, from ready to stopped."""
    site = make_site(root / "artifacts")
    disk = Disk(root / "disk")
    world = World(root, site, disk)
    for number, product in enumerate(PRODUCTS):
        made = write_product(world.spare / product, product, SPARE_VERSION, number)
        site.add(product, SPARE_VERSION, made)
        write_product(world.foreign / product, product, "9", number, sha256="0" * 64)
    os.environ[CLOCK_FILE] = str(root / "clock")
    world.start()
    try:
        yield world
    finally:
        try:
            world.heal()
            world.stop()
        finally:
            disk.close()


def wait_for(what: str, condition: Callable[[], bool], seconds: float, pause_s: float = 0.05) -> float:
    """Seconds until the condition holds. Raises TimeoutError that says what was waited for."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(pause_s)
    return time.monotonic() - begun
