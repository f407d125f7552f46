"""Asks a service for verdicts by KServe's own client, in an environment that has it; prints what came back as JSON.

    python kserve_client.py HTTP_PORT GRPC_PORT PRODUCT FILE ...

It imports nothing of this repository: KServe wants other versions of some packages than we do.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kserve import (  # type: ignore[import-not-found]
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)

OUTPUTS = ("score", "p_value", "threshold", "decision")


async def main(http_port: str, grpc_port: str, product: str, images: Sequence[bytes]) -> None:
    """By surface: whether server and product are ready, the outputs of all files in one request, and of one tensor."""
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=60))
    grpc = InferenceGRPCClient(f"127.0.0.1:{grpc_port}", retries=0, timeout=60)
    base = f"http://127.0.0.1:{http_port}"
    found = {
        "rest": {
            "ready": [await rest.is_server_ready(base), await rest.is_model_ready(base, product)],
            "files": read(await rest.infer(base, request(product, encoded(images)), model_name=product)),
            "pixels": read(await rest.infer(base, request(product, GREY), model_name=product)),
        },
        "grpc": {
            "ready": [await grpc.is_server_ready(), await grpc.is_model_ready(product)],
            "files": read(await grpc.infer(request(product, encoded(images)))),
            "pixels": read(await grpc.infer(request(product, GREY))),
        },
    }
    await rest.close()
    await grpc.close()
    print(json.dumps(found))


def encoded(images: Sequence[bytes]) -> np.ndarray[Any, Any]:
    """(N,) objects: an array of kind S would lose the zero bytes at the end of a file."""
    return np.array([*images, b""], dtype=object)[:-1]


def request(product: str, values: np.ndarray[Any, Any]) -> Any:
    """A request with that array in the binary form."""
    tensor = InferInput("image", list(values.shape), "UINT8" if values.dtype == np.uint8 else "BYTES")
    tensor.set_data_from_numpy(values, binary_data=True)
    return InferRequest(model_name=product, infer_inputs=[tensor])


def read(answer: Any) -> dict[str, list[object]]:
    """The outputs by name, as lists."""
    values = {one.name: one.as_numpy().tolist() for one in answer.outputs}
    return {name: [text(one) for one in values[name]] for name in OUTPUTS}


def text(value: object) -> object:
    """Bytes as text; anything else as it is."""
    return value.decode() if isinstance(value, bytes) else value


GREY = np.full((1, 40, 40, 3), 128, np.uint8)

if __name__ == "__main__":
    http, grpc_, name, *paths = sys.argv[1:]
    asyncio.run(main(http, grpc_, name, [Path(path).read_bytes() for path in paths]))
