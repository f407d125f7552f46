#!/usr/bin/env bash
# onnxruntime 1.32.0: RunOptions.only_execute_path_to_fetches is ignored by the CPU provider. Every node of the graph runs,
# also those that no wanted output needs: here a node behind the wanted output always fails, and so does the run.
# Why it matters: a network with several outputs costs its whole depth whatever is asked of it, and an error behind the
# output fails the request. Work-around: a graph (and session) that ends at the deepest output that is wanted.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

images = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "ab"]
nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Reshape", ["a", "shape"], ["b"])]
graph = helper.make_graph(nodes, "g", [images], outputs, [numpy_helper.from_array(np.array([7]), "shape")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
options = ort.SessionOptions()
options.log_severity_level = 4
session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
run = ort.RunOptions()
run.only_execute_path_to_fetches = True
try:
    session.run(["a"], {"x": np.ones((2, 4), np.float32)}, run)
    failed = False
except Exception as error:
    print(str(error).splitlines()[0][:120])
    failed = True
print("onnxruntime", ort.__version__, "- ran the node behind the only wanted output:", failed)
raise SystemExit(0 if failed else 1)
PYTHON
