#!/usr/bin/env bash
# safetensors' save_file raises SafetensorError where the disk is full, which is no OSError, so `except OSError` does not see it; and
# the file that it writes is readable by its owner alone, whatever the umask. numpy's own save differs in both.
#
# Seen with safetensors 0.8.0, numpy 2.4.6. Why it matters here: a cache that is full must cost a start some seconds and no more, and a
# container's user reads weights that another has kept. Our code meets it in models/backends/kept.py and models/sources/weights.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment safetensors==0.8.0 numpy==2.4.6 <<'CODE'
import os, resource, sys
import numpy as np, safetensors
from safetensors.numpy import save_file
os.umask(0o022)
values = np.zeros(1000, np.float32)
save_file({"a": values}, "st")
np.save("np.npy", values)
modes = [oct(os.stat(name).st_mode & 0o777) for name in ("st", "np.npy")]
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # no file may grow, as on a full disk
raised = []
for save in (lambda: save_file({"a": values}, "full"), lambda: np.save("full.npy", values)):
    try:
        save()
    except Exception as error:
        raised.append((type(error).__name__, isinstance(error, OSError)))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(f"safetensors {safetensors.__version__}: mode {modes[0]}, numpy {modes[1]}; on a full disk (name, is an OSError): {raised}")
sys.exit(0 if modes == ["0o600", "0o644"] and [is_os for _, is_os in raised] == [False, True] else 1)
CODE
