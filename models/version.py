"""The version of the distribution that runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "mkdserve"


def service_version() -> str:
    """The distribution's version; "unknown" where it runs without having been installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
