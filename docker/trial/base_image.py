"""A Debian release in, a base image with its Python (and one more that installs) out; no image registry is asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from docker.trial.buildah_engine import ISOLATED, Store
from docker.trial.commands import output, say, shown
from docker.trial.host import debian_archive

RELEASE = "bookworm"  # with Python 3.11
RUNS = "python3,python-is-python3,ca-certificates"
INSTALLS = "python3-pip python3-venv"
BASE, BUILD_BASE = "localhost/mkdserve-base", "localhost/mkdserve-build-base"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL = (
    f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends {INSTALLS} "
    "&& rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb"
)


def make(store: Store, folder: Path) -> dict[str, str]:
    """The Dockerfile's build arguments BASE and BUILD_BASE, both made by debootstrap; raises TrialError."""
    say(f"base image: debootstrap of Debian {RELEASE}")
    root = folder / "debian"
    made: list[str | Path] = [
        "debootstrap",
        "--variant=minbase",
        f"--include={RUNS}",
        RELEASE,
        root,
        debian_archive(RELEASE),
    ]
    shown(made, folder / "debootstrap.log")
    for left in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / left)
        (root / left / "partial").mkdir(parents=True)
    container = store.output("from", "scratch")
    # As a tar, so that owners and modes are kept whatever Buildah makes of a folder.
    output(["tar", "--directory", root, "--create", "--file", folder / "debian.tar", "."])
    store.output("add", "--quiet", container, folder / "debian.tar", "/")
    store.output("config", "--env", f"PATH={PATH}", container)
    store.output("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)
    os.unlink(folder / "debian.tar")
    say("base image: pip, for the build alone")
    container = store.output("from", BASE)
    shown(store.command("run", *ISOLATED, container, "--", "sh", "-c", INSTALL), folder / "build_base.log")
    store.output("commit", "--quiet", "--rm", container, BUILD_BASE)
    return {"BASE": BASE, "BUILD_BASE": BUILD_BASE}
