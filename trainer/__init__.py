"""The offline half: a folder of good images in, a calibrated artifact out, and reports on labelled sets."""

from __future__ import annotations

import os

# OpenMP reads it once, when torch is loaded. By default its threads spin while they wait for each other; on cores that
# something else uses too, each step then burns several times its own time. What a person sets is kept.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
