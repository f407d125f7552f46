#!/usr/bin/env bash
# onnxruntime 1.32.0, seen on two cores: ExecutionMode.ORT_PARALLEL runs independent branches of a graph one after the
# other on a CPU, however many inter-op threads there are, and the thread that waits for them spins: twice the processor
# time of sequential mode.
# Why it matters: a network cut into branches for two cores, by channels or by rows, gains nothing in one session. What
# helps: a session for each branch, run from threads of one's own (models/backends/row_halves.py).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 <<'PYTHON'
import json
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

weight = numpy_helper.from_array(np.random.rand(64, 64, 3, 3).astype(np.float32) / 100, "w")
nodes = []
for branch in "ab":  # two branches of four convolutions, which meet at the end
    before = "x"
    for number in range(4):
        nodes.append(helper.make_node("Conv", [before, "w"], [f"{branch}{number}"], pads=[1, 1, 1, 1], name=f"{branch}{number}"))
        before = f"{branch}{number}"
nodes[4].input[1] = "v"  # else the second branch is the first, and is dropped
other = numpy_helper.from_array(numpy_helper.to_array(weight) + 1, "v")
nodes.append(helper.make_node("Add", ["a3", "b3"], ["y"]))
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, 56, 56]) for name in "xy"]
graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight, other])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
x = np.random.rand(1, 64, 56, 56).astype(np.float32)


def overlaps(mode, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, threads
    options.execution_mode, options.enable_profiling = mode, True
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(20):
        session.run(None, {"x": x})
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    events = [one for one in json.load(open(session.end_profiling())) if one["name"].endswith("_kernel_time")]
    spans = sorted((one["ts"], one["ts"] + one["dur"]) for one in events)
    found = sum(after[0] < before[1] for before, after in zip(spans, spans[1:]))
    print(f"{mode}, {threads} threads: {len(spans)} nodes, {found} began before the one before had ended; "
          f"{wall * 50:.1f} ms a run by the clock, {processor * 50:.1f} of processor time")
    return found


overlaps(ort.ExecutionMode.ORT_SEQUENTIAL, 1)
found = sum(overlaps(ort.ExecutionMode.ORT_PARALLEL, threads) for threads in (2, 3, 4))
print("onnxruntime", ort.__version__, "- ran independent branches in turn:", found == 0)
raise SystemExit(0 if found == 0 else 1)
PYTHON
