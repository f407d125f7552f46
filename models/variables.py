"""Names the environment variables that say where weights and what was found before are kept; light to import."""

from __future__ import annotations

CACHE_ENV = "MKD_CACHE_DIR"  # a folder to read and write: checked weights, and what was found on this machine before
WEIGHTS_DIR_ENV = "MKD_WEIGHTS_DIR"  # a folder of checked weights that is only read, as a container image's
NO_DOWNLOAD_ENV = "MKD_NO_DOWNLOAD"  # set: nothing is fetched
# What a process passes on to those that it starts, whatever other settings it keeps to itself.
PASSED_ON = (CACHE_ENV, WEIGHTS_DIR_ENV, NO_DOWNLOAD_ENV)
