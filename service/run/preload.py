"""Imported once by the process that all server processes are forked from, so that they share what importing costs.

No thread may run here and no device be opened: a fork takes neither along.
"""

from __future__ import annotations

import gc

import service.run.assembly
import service.run.server  # noqa: F401

gc.collect()
gc.freeze()  # a collection in a server process would write to the pages of all that is shared
