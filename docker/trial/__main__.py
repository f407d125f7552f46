"""The checkout in; exit code 0 out when its image builds, serves a right verdict and stops as it should.

    python -m docker.trial [--artifact DIR] [--target cpu|cuda] [--engine docker|buildah] [--work DIR] [--keep]

With Docker where an engine runs; else with Buildah, as root, on a Debian that has the packages buildah and debootstrap
(`apt-get install --no-install-recommends buildah debootstrap`). Needs Python 3.11 with pip and nothing else; pip's and
apt's own configuration is used as it is. Without --artifact the image trains a small one on pictures made here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from docker.trial import base_image, buildah_engine, docker_engine, pictures
from docker.trial.commands import TrialError, say, until
from docker.trial.host import pip_secrets
from docker.trial.running import Engine, Mount, Setting
from docker.trial.visit import ask, checked, expected, refused

CONTEXT = Path(__file__).parents[2]
TRIAL = "trial"
PICTURES = 24
SMALL = "--image-size 32 --set steps=20 --device cpu --threads 1"
TRAIN = f"fit /data --product {TRIAL} --version 1 --out /artifacts {SMALL}".split()
START_S = 300  # a busy machine may take minutes for what an idle one does in ten seconds
USER = 10001  # of the Dockerfile


def engine_for(name: str | None, folder: Path) -> Engine:
    """Docker if it answers, else Buildah on a base image made for it; raises TrialError when there is neither."""
    if name != "buildah" and docker_engine.available():
        return docker_engine.DockerEngine({})
    if name != "docker" and buildah_engine.available():
        store = buildah_engine.Store(folder / "store")
        return buildah_engine.BuildahEngine(store, folder, base_image.make(store, folder))
    raise TrialError("no Docker engine answers, and there is no Buildah for root")


def inspected(engine: Engine, image: str) -> str:
    """A line about what the image is from within; raises TrialError when it holds or allows too much."""
    code = (Path(__file__).parent / "inside.py").read_text(encoding="utf-8")
    found = json.loads(engine.run(Setting(image), ["python", "-c", code]))
    faults = {name: found[name] for name in ("writable", "tools", "modules") if found[name]}
    if faults or found["user"] != USER or not found["temporary"]:
        raise TrialError(f"the image from within: {found}")
    return f"user {found['user']}, Python {found['python']}, writes to /tmp alone, no compiler, no pip"


def trained(engine: Engine, image: str, folder: Path) -> Path:
    """An artifact that the image itself has trained on made pictures."""
    pictures.write(folder / "pictures", PICTURES)
    out = folder / "artifacts"
    out.mkdir()
    out.chmod(0o777)
    mounts = (Mount(folder / "pictures", "/data"), Mount(out, "/artifacts", writable=True))
    engine.run(Setting(image, mounts=mounts), ["mkd-train", *TRAIN])
    return out / TRIAL / "1"


def keys(engine: Engine, image: str, folder: Path) -> tuple[str, Path]:
    """A key and the file that lets it in, both by the image's own command."""
    said = engine.run(Setting(image), ["mkd-serve", "keys", "new", "--name", "trial", "--scopes", "infer"])
    key, line = (next(line for line in said.splitlines() if line.startswith(start)) for start in ("mkd_", "trial:"))
    file = folder / "api_keys"
    file.write_text(line + "\n", encoding="utf-8")
    file.chmod(0o644)
    return key, file


def serve(engine: Engine, image: str, artifact: Path, folder: Path) -> None:
    """Start, readiness, a refusal, a verdict, the user, SIGTERM; raises TrialError at the first that is not right."""
    key, file = keys(engine, image, folder)
    what = expected(artifact)
    mounts = (Mount(artifact, f"/artifacts/{what.product}"), Mount(file, "/run/secrets/api_keys"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    setting = Setting(image, {"MKD_API_KEYS_FILE": "/run/secrets/api_keys"}, mounts)
    service = engine.start(setting, port)
    try:
        say(f"ready, says HEALTHCHECK, after {until(service.healthy, 'ready', START_S):.1f} s")
        answer = refused(port, what)
        if answer != 401:
            raise TrialError(f"without a key the answer is {answer}, not 401")
        say(f"without a key: 401; with one: {checked(ask(port, key, what), what)}")
        status = service.status()
        if status.user != USER:
            raise TrialError(f"the service runs as user {status.user}")
        start = time.monotonic()
        code = service.terminate(60)
        if code != 0:
            raise TrialError(f"exit code {code} after SIGTERM:\n{service.log()[-2000:]}")
        took = time.monotonic() - start
        say(f"user {USER}, {status.resident / 2**30:.2f} GiB resident; exit code 0, {took:.1f} s after SIGTERM")
    finally:
        service.remove()


def trial(options: argparse.Namespace, folder: Path) -> None:
    """All steps; raises TrialError at the first that fails."""
    start = time.monotonic()
    engine = engine_for(options.engine, folder)
    image = f"localhost/mkdserve:{options.target}"
    try:
        say(f"{engine.name}: build of the target {options.target}; log in {folder / 'build.log'}")
        built = time.monotonic()
        engine.build(CONTEXT, options.target, image, pip_secrets(folder), folder / "build.log")
        say(f"built in {time.monotonic() - built:.0f} s, {engine.size(image)}")
        say(inspected(engine, image))
        if options.artifact is None:
            say(f"training on {PICTURES} made pictures, in the image")
        artifact = options.artifact or trained(engine, image, folder)
        serve(engine, image, artifact.resolve(), folder)
        say(f"all right, {time.monotonic() - start:.0f} s in all")
    finally:
        if not options.keep:
            engine.clean()


def main() -> int:
    """0, or 1 with the step that failed on stderr."""
    options = argparse.ArgumentParser(prog="python -m docker.trial", description=__doc__.split("\n")[0])
    options.add_argument("--artifact", type=Path, help="folder of an artifact (with manifest.json) to serve")
    options.add_argument("--target", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--engine", choices=["docker", "buildah"], help="[docker where it runs, else buildah]")
    options.add_argument("--work", type=Path, help="folder for logs and Buildah's store; 12 GB, removed afterwards")
    options.add_argument("--keep", action="store_true", help="keep the image and the folder")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mkdserve-trial-", dir=given.work))
    folder.chmod(0o755)  # the image's user reads the artifact and the key file in it
    try:
        trial(given, folder)
    except TrialError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
