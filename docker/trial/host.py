"""The host's package configuration in; the build's secrets, and the address that debootstrap takes, out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from docker.trial.commands import TrialError, output

# pip's settings that say where packages come from. Folders of this machine (find-links and the like) are not in the
# build's file system, so they are left out.
PASSED_ON = ("index-url", "extra-index-url", "proxy", "trusted-host", "timeout", "retries")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
INSIDE = "/run/secrets/certificates"  # where the Dockerfile mounts the secret of this name


def pip_secrets(folder: Path) -> dict[str, Path]:
    """Files for the build's secrets `pip` and, where the host has its own list, `certificates`; written to `folder`."""
    settings: dict[str, str] = {}
    for line in output([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = shlex.split(value)[0]
    certificates = Path(settings.get("cert", CERTIFICATES))
    lines = ["[global]"]
    for name in PASSED_ON:
        parts = [part for part in settings.get(name, "").split() if not part.startswith("file:")]
        lines += [f"{name} = {' '.join(parts)}"] if parts else []
    secrets = {"pip": folder / "pip.conf"}
    if certificates.is_file():
        lines.append(f"cert = {INSIDE}")
        secrets["certificates"] = certificates
    secrets["pip"].write_text("\n".join(lines) + "\n", encoding="utf-8")
    secrets["pip"].chmod(0o600)  # an address may hold a password
    return secrets


def debian_archive(release: str) -> str:
    """The address from which this Debian's apt takes `release`; raises TrialError when it takes it from nowhere."""
    wanted = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    for line in output(["apt-get", "indextargets", *wanted]).splitlines():
        address, name, component = line.split()
        if (name, component) == (release, "main"):
            return address
    raise TrialError(f"apt is not configured for {release}, so there is nowhere to make a base image from")
