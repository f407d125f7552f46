"""The real service speaks the Open Inference Protocol to Triton's own clients, over HTTP and gRPC."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from PIL import Image
from tritonclient.utils import InferenceServerException

from benchmarks.harness.service_process import ServiceProcess

Clients = dict[str, tuple[Any, Any]]
SURFACES = ("http", "grpc")


@pytest.fixture(scope="module")
def clients(service: ServiceProcess) -> Iterator[Clients]:
    """Client and its module by surface."""
    port = next(event["port"] for event in service.events() if event["event"] == "gRPC started")
    http = over_http.InferenceServerClient(f"127.0.0.1:{service.port}")
    grpc = over_grpc.InferenceServerClient(f"127.0.0.1:{port}")
    yield {"http": (http, over_http), "grpc": (grpc, over_grpc)}
    http.close()
    grpc.close()


def as_bytes(*images: bytes) -> npt.NDArray[np.object_]:
    return np.array([*images, b""], dtype=object)[:-1]


def ask(
    clients: Clients, surface: str, values: npt.NDArray[Any], datatype: str, outputs: tuple[str, ...] = (), **more: Any
) -> Any:
    client, kinds = clients[surface]
    tensor = kinds.InferInput("image", list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    wanted = [kinds.InferRequestedOutput(name) for name in outputs] or None
    return client.infer("bolt", [tensor], outputs=wanted, **more)


@pytest.mark.parametrize("surface", SURFACES)
def test_health_and_metadata_are_as_the_protocol_says(clients: Clients, surface: str) -> None:
    client, _ = clients[surface]
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("bolt")
    server, product = client.get_server_metadata(), client.get_model_metadata("bolt")
    if surface == "grpc":
        assert list(server.extensions) == ["binary_tensor_data"]
        assert [(one.name, one.datatype, list(one.shape)) for one in product.inputs] == [("image", "BYTES", [-1])]
    else:
        assert server["extensions"] == ["binary_tensor_data"]
        assert product["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]


def test_rest_and_both_forms_of_the_protocol_give_equal_scores(
    clients: Clients, client: httpx.Client, good_images: list[bytes], bad_image: bytes
) -> None:
    images = [*good_images[:2], bad_image]
    files = [("image", ("part.png", image)) for image in images]
    rest = client.post("/score", params={"product": "bolt"}, files=files).json()["results"]
    for surface in SURFACES:
        answer = ask(clients, surface, as_bytes(*images), "BYTES")
        # A batch of another size may run on another backend, whose sums round differently.
        assert answer.as_numpy("score").tolist() == pytest.approx([entry["score"] for entry in rest], rel=1e-5)
        assert answer.as_numpy("p_value").tolist() == [entry["p_value"] for entry in rest]
        assert answer.as_numpy("threshold").tolist() == [entry["threshold"] for entry in rest]
        assert [one.decode() for one in answer.as_numpy("decision")] == [entry["decision"] for entry in rest]


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("datatype", ["UINT8", "UINT16"])
def test_pixels_score_as_their_file_does(
    clients: Clients, surface: str, layout: str, datatype: str, good_images: list[bytes]
) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(good_images[0])))
    if datatype == "UINT16":
        pixels = pixels.astype(np.uint16) * 257
    file = cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
    tensor = np.ascontiguousarray(pixels if layout == "NHWC" else pixels.transpose(2, 0, 1))[None]
    as_file = ask(clients, surface, as_bytes(file), "BYTES").as_numpy("score")
    assert ask(clients, surface, tensor, datatype).as_numpy("score").tolist() == as_file.tolist()


@pytest.mark.parametrize("surface", SURFACES)
def test_shares_of_white_score_as_sixteen_bits_do(clients: Clients, surface: str, good_images: list[bytes]) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(good_images[0])))[None]
    sixteen = ask(clients, surface, pixels.astype(np.uint16) * 257, "UINT16").as_numpy("score")
    shares = ask(clients, surface, (pixels / 255).astype(np.float32), "FP32").as_numpy("score")
    assert shares.tolist() == sixteen.tolist()


@pytest.mark.parametrize("surface", SURFACES)
def test_a_map_comes_where_it_is_asked_for(clients: Clients, surface: str, bad_image: bytes) -> None:
    answer = ask(clients, surface, as_bytes(bad_image), "BYTES", ("decision", "map"))
    found = cv2.imdecode(np.frombuffer(answer.as_numpy("map")[0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert found.shape == (40, 40)
    assert answer.as_numpy("score") is None


@pytest.mark.parametrize("surface", SURFACES)
def test_an_image_that_cannot_be_read_leaves_the_others_unharmed(
    clients: Clients, surface: str, good_images: list[bytes]
) -> None:
    answer = ask(clients, surface, as_bytes(good_images[0], b"no image"), "BYTES")
    alone = ask(clients, surface, as_bytes(good_images[0]), "BYTES")
    assert answer.as_numpy("score")[0] == alone.as_numpy("score")[0]
    assert np.isnan(answer.as_numpy("score")[1])
    assert answer.as_numpy("decision").tolist()[1] == b"ERROR"
    assert answer.as_numpy("error").tolist()[1].startswith(b"image_unreadable: ")


@pytest.mark.parametrize("surface", SURFACES)
def test_bytes_whose_trailing_zeros_the_client_has_cut_are_told_why(clients: Clients, surface: str) -> None:
    """A numpy array of kind S has no way to keep them."""
    stream = io.BytesIO()
    Image.new("RGB", (40, 40)).save(stream, "BMP")
    with pytest.raises(InferenceServerException, match=r"image_truncated: .*dtype=object") as raised:
        ask(clients, surface, np.array([stream.getvalue()]), "BYTES")
    assert raised.value.status() == ("400" if surface == "http" else "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    ("values", "datatype", "words"),
    [
        (np.full((1, 8, 8, 3), np.nan, np.float32), "FP32", "image_tensor_invalid"),
        (np.full((1, 8, 8, 3), 2, np.float32), "FP32", "image_tensor_invalid"),
        (np.zeros((1, 8, 8, 4), np.uint8), "UINT8", "malformed_request: .*1 or 3 channels"),
        (np.zeros((1, 3, 8, 3), np.uint8), "UINT8", "malformed_request: .*layout"),
        (np.zeros((1, 8, 8, 3), np.int32), "INT32", "malformed_request: .*datatype"),
        (np.zeros((1, 4, 4, 3), np.uint8), "UINT8", "image_too_small"),
    ],
)
def test_a_wrong_tensor_is_refused_in_words(
    clients: Clients, surface: str, values: npt.NDArray[Any], datatype: str, words: str
) -> None:
    with pytest.raises(InferenceServerException, match=words):
        ask(clients, surface, values, datatype)


@pytest.mark.parametrize("surface", SURFACES)
def test_parameters_choose_the_threshold_and_unknown_ones_are_refused(
    clients: Clients, surface: str, good_images: list[bytes]
) -> None:
    image = as_bytes(good_images[0])
    off = ask(clients, surface, image, "BYTES", parameters={"review": "off"})
    assert np.isnan(off.as_numpy("review_threshold")[0])
    for parameters, words in (({"treshold": 0.5}, "treshold"), ({"max_false_reject": 1e-9}, "rate_not_promised")):
        with pytest.raises(InferenceServerException, match=words):
            ask(clients, surface, image, "BYTES", parameters=parameters)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_product_that_is_not_there_is_refused(clients: Clients, surface: str) -> None:
    client, _ = clients[surface]
    with pytest.raises(InferenceServerException, match="product_not_found"):
        client.get_model_metadata("nut")


@pytest.mark.parametrize("surface", SURFACES)
def test_time_that_is_over_is_told(clients: Clients, surface: str, good_images: list[bytes]) -> None:
    with pytest.raises(InferenceServerException, match="deadline_exceeded"):
        ask(clients, surface, as_bytes(good_images[0]), "BYTES", timeout=1)
