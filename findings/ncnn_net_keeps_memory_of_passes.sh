#!/usr/bin/env bash
# ncnn 1.0.20261020: what a pass used stays with the Net after its Extractor is closed and every Mat is gone, in pools that
# grow with the most extractors that ever ran at once. Python has no call that empties them; malloc_trim does not see it.
# Why it matters: an idle service holds the buffers of its busiest moment. Work-around: own PoolAllocators as
# opt.blob_allocator and opt.workspace_allocator; their clear() gives it back (models/backends/ncnn_backend.py).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment ncnn==1.0.20261020 numpy==2.4.6 <<'PYTHON'
import ctypes
import gc
import tempfile

import ncnn
import numpy as np

PARAM = """7767517
3 3
Input x 0 1 x
Pooling halves 1 1 x half 0=1 1=2 2=2
Pooling quarters 1 1 half out 0=1 1=2 2=2
"""


def resident_mib():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as lines:
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def mib_kept_after_a_pass(net):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("param", PARAM.encode()), ("bin", b"")):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(data)
        net.load_param(f"{folder}/param")
        net.load_model(f"{folder}/bin")
    images = np.ones((64, 1024, 1024), np.float32)
    before = resident_mib()
    with net.create_extractor() as extractor:
        extractor.input("x", ncnn.Mat(images))
        status, out = extractor.extract("out")
        assert status == 0
        del out
    return resident_mib() - before


net = ncnn.Net()
kept = mib_kept_after_a_pass(net)
pools = ncnn.PoolAllocator(), ncnn.PoolAllocator()
other = ncnn.Net()
other.opt.blob_allocator, other.opt.workspace_allocator = pools
base = resident_mib()
mib_kept_after_a_pass(other)
for pool in pools:
    pool.clear()
left = resident_mib() - base
print(f"ncnn {ncnn.__version__} - MiB kept after a pass: {kept:.0f}; with pools of its own, cleared: {left:.0f}")
raise SystemExit(0 if kept > 30 and left < kept / 4 else 1)
PYTHON
