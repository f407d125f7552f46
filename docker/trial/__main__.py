"""The checkout in; exit code 0 out when its image builds, serves a right verdict and stops as it should.

    python -m docker.trial [--artifact DIR] [--target cpu|cuda] [--engine docker|buildah] [--work DIR] [--keep]

With Docker where an engine runs; else with Buildah, as root, on a Debian that has the packages buildah and debootstrap
(`apt-get install --no-install-recommends buildah debootstrap`). Needs Python 3.11 with pip and nothing else; pip's and
apt's own configuration is used as it is. Without --artifact the image trains two small ones on pictures made here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from docker.trial import base_image, buildah_engine, docker_engine, pictures
from docker.trial.commands import TrialError, say
from docker.trial.host import pip_secrets
from docker.trial.running import Engine, Mount, Setting
from docker.trial.serving import USER, serve

CONTEXT = Path(__file__).parents[2]
PICTURES = 24
SMALL = "--image-size 32 --device cpu --threads 1 --no-forecast"
TRAINED = {  # product -> what makes it another one: method and source
    "trial": "--set steps=20",
    "trial-lite": "--method padim --source efficientnet-lite0",
}


def engine_for(name: str | None, folder: Path) -> Engine:
    """Docker if it answers, else Buildah on a base image made for it; raises TrialError when there is neither."""
    if name != "buildah" and docker_engine.available():
        return docker_engine.DockerEngine({})
    if name != "docker" and buildah_engine.available():
        store = buildah_engine.Store(folder / "store")
        return buildah_engine.BuildahEngine(store, folder, base_image.make(store, folder))
    raise TrialError("no Docker engine answers, and there is no Buildah for root")


def inspected(engine: Engine, image: str) -> str:
    """A line about what the image is from within; raises TrialError when it holds or allows too much, or too little."""
    code = (Path(__file__).parent / "inside.py").read_text(encoding="utf-8")
    found = json.loads(engine.run(Setting(image), ["python", "-c", code]))
    faults = {name: found[name] for name in ("writable", "tools", "modules", "missing") if found[name]}
    if faults or found["user"] != USER or not found["temporary"]:
        raise TrialError(f"the image from within: {found}")
    return f"user {found['user']}, Python {found['python']}, writes to /tmp alone, no compiler, no pip, all commands"


def trained(engine: Engine, image: str, folder: Path) -> list[Path]:
    """An artifact of each source, that the image itself has trained on made pictures."""
    pictures.write(folder / "pictures", PICTURES)
    out = folder / "artifacts"
    out.mkdir()
    out.chmod(0o777)
    mounts = (Mount(folder / "pictures", "/data"), Mount(out, "/artifacts", writable=True))
    for product, options in TRAINED.items():
        say(f"training {product} on {PICTURES} made pictures, in the image")
        command = f"mkd-train fit /data --product {product} --version 1 --out /artifacts {options} {SMALL}"
        engine.run(Setting(image, mounts=mounts), command.split())
    return [out / product / "1" for product in TRAINED]


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
        artifacts = [options.artifact.resolve()] if options.artifact else trained(engine, image, folder)
        serve(engine, image, artifacts, folder)
        say(f"all right, {time.monotonic() - start:.0f} s in all")
    finally:
        engine.release()
        if not options.keep:
            engine.clean()


def main() -> int:
    """0, or 1 with the step that failed on stderr."""
    options = argparse.ArgumentParser(prog="python -m docker.trial", description=__doc__.split("\n")[0])
    options.add_argument("--artifact", type=Path, help="folder of an artifact (with manifest.json) to serve")
    options.add_argument("--target", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--engine", choices=["docker", "buildah"], help="[docker where it runs, else buildah]")
    words = "folder that gets one for logs and Buildah's store; 12 GB, removed afterwards"
    options.add_argument("--work", type=Path, help=words)
    options.add_argument("--keep", action="store_true", help="keep the image and the folder")
    given = options.parse_args()
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
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
