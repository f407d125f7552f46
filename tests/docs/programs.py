"""The programs that the commands of the pages meet: the real ones, on small settings and on a port of their own.

They stand first in the PATH, so that a command is run as it is written. What must not be called from a test fails.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

# The smallest training that there is: added to the trainings of the pages.
SMALL = "--image-size 32 --hold-out 0.4 --threads 1"
SMALL_BY_FOLDS = SMALL.replace("--hold-out 0.4 ", "")
SMALL_MKD = "--set steps=4 --set batch_size=4"
FORBIDDEN = ("pip", "docker", "kubectl", "ray", "serve", "apt-get", "make", "buildah", "git")
STOPPED_WITHIN_S = 60

TRAIN = """
small=()
if [ "$1" = fit ] || [ "$1" = many ]; then
    small=({small})
    case "$*" in *--calibrate-by*folds*) small=({small_by_folds}) ;; esac
    case "$*" in *--method*|*--config*) ;; *) small+=({small_mkd}) ;; esac
    if [ "$1" = fit ]; then small+=(--no-forecast); fi
fi
exec {python} -m trainer "$@" "${{small[@]}}"
"""
# A service goes on behind the commands that follow, as in a second terminal; the next one takes its place.
SERVE = """
case " $* " in " keys "*|*" --check "*|*" --help "*|*" --version "*) exec {python} -m service "$@" ;; esac
if [ -e "{state}/server" ]; then
    kill -TERM "$(cat "{state}/server")" && while kill -0 "$(cat "{state}/server")" 2>/dev/null; do sleep 0.1; done
fi
{python} -m service "$@" &
echo $! > "{state}/server"
"""
# The pages' port is 8000, where on this machine another service may listen.
WAIT = """
for try in $(seq 600); do
    {curl} --silent --fail --output /dev/null "http://127.0.0.1:$MKD_PORT/readyz" && break
    kill -0 "$(cat "{state}/server")" || exit 1
    sleep 0.1
done
"""
CURL = (
    WAIT
    + """
exec {curl} --silent --show-error --fail-with-body "${{@//:8000/:$MKD_PORT}}"
"""
)
PYTHON = """
if [ "$*" = - ]; then
    if [ -e "{state}/server" ]; then{wait}    fi
    sed "s/:8000/:$MKD_PORT/g" | {python} -
    exit "${{PIPESTATUS[1]}}"
fi
case "$1 $2" in
    "-m service") shift 2; exec mkd-serve "$@" ;;
    "-m trainer") shift 2; exec mkd-train "$@" ;;
esac
exec {python} "$@"
"""
MODULE = 'exec {python} -m {module} "$@"\n'
NEVER = 'echo "$0: no test may call this; give the block a comment <!-- not run: ... -->" >&2; exit 1\n'


class Programs:
    """A folder of programs for one page, and the service that its commands have started."""

    def __init__(self, folder: Path, root: Path, curl: str) -> None:
        self._folder, self._root = folder / "bin", root
        self._state = folder
        self._folder.mkdir(parents=True)
        values = {"python": sys.executable, "state": str(folder), "curl": curl}
        self._write(
            "mkd-train", TRAIN.format(small=SMALL, small_by_folds=SMALL_BY_FOLDS, small_mkd=SMALL_MKD, **values)
        )
        self._write("mkd-serve", SERVE.format(**values))
        self._write("mkd-score", MODULE.format(module="service.bulk", **values))
        self._write("mkd-audit", MODULE.format(module="service.audit", **values))
        self._write("curl", CURL.format(**values))
        self._write("python", PYTHON.format(wait=WAIT.format(**values), **values))
        for name in FORBIDDEN:
            self._write(name, NEVER)

    def _write(self, name: str, text: str) -> None:
        file = self._folder / name
        file.write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
        file.chmod(0o755)

    def environment(self, **variables: str) -> dict[str, str]:
        """What a reader's shell would have set, and the port."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MKD_") or "CACHE" in name}
        path = f"{self._folder}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(self._root), "MKD_PORT": str(free_port()), "MKD_NO_DOWNLOAD": "1"}
        return kept | own | variables

    def stop(self) -> None:
        """End the service that the commands have left running, if there is one."""
        file = self._state / "server"
        if not file.exists():
            return
        process = int(file.read_text(encoding="ascii"))
        until = time.monotonic() + STOPPED_WITHIN_S
        kind = signal.SIGTERM
        with suppress(ProcessLookupError):
            while True:
                os.kill(process, kind)
                time.sleep(0.2)
                kind = signal.SIGTERM if time.monotonic() < until else signal.SIGKILL
        file.unlink()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
