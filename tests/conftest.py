"""Tiny real artifacts for every test: two products trained for some steps on textured pictures made here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.heads.base import Bar
from models.heads.registry import config_of
from models.sources.weights import SourceWeightsError, load_source_weights
from models.variables import NO_DOWNLOAD_ENV
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob, train

IMAGE_SIZE = 32  # the smallest the source takes: one place at pool5
PICTURE_SIDE = 40  # pictures are not of the network's size, so that resizing is part of every test
STEPS = 4
GOOD_IMAGES = 12
# Ray reads both once, when it is first imported.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
NEEDS_WEIGHTS = {"source_weights", "lite0_weights", "artifacts_folder"}

Picture = npt.NDArray[np.uint8]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that needs the source weights, however deep in its fixtures."""
    for item in items:
        if NEEDS_WEIGHTS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.weights)


@pytest.fixture(scope="session", autouse=True)
def quiet_machine() -> Iterator[None]:
    """One thread, as other work shares the machine; no test fetches anything, and none stores verdicts unasked."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NO_DOWNLOAD_ENV, "1")
        patch.setenv("MKD_FEEDBACK", "off")  # a store beside the artifacts is for the tests that ask for one
        patch.setenv("MKD_GOLDEN_CHECK", "full")  # no test follows from what was run before
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def source_weights(quiet_machine: None) -> Mapping[str, torch.Tensor]:
    """The checked source tensors; skips where they are not at hand."""
    try:
        return load_source_weights()
    except SourceWeightsError as error:
        pytest.skip(f"needs the source weights: {str(error).splitlines()[0]}")


class _SilentBar:
    def update(self, done: int, note: str = "") -> None:
        """Nothing."""


class _SilentDisplay:
    def __init__(self, said: list[str]) -> None:
        self.said = said

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        yield _SilentBar()


@pytest.fixture
def said() -> list[str]:
    """The lines that `silent_display` was told."""
    return []


@pytest.fixture
def silent_display(said: list[str]) -> Display:
    """A display that shows nothing and keeps what was said in `said`."""
    return _SilentDisplay(said)


@pytest.fixture(scope="module")
def told() -> list[str]:
    """The lines that `module_display` was told."""
    return []


@pytest.fixture(scope="module")
def module_display(told: list[str]) -> Display:
    """As `silent_display`, for fixtures that last for a file of tests."""
    return _SilentDisplay(told)


def bolt_picture(number: int) -> Picture:
    """(40, 40, 3) RGB: stripes at an angle with grain; `number` seeds it."""
    return _textured(number, across=0.55, along=0.25, colour=(150, 140, 120))


def tile_picture(number: int) -> Picture:
    """(40, 40, 3) RGB: a grid with grain, another colour."""
    return _textured(1000 + number, across=0.9, along=0.0, colour=(90, 120, 170))


def _textured(seed: int, *, across: float, along: float, colour: tuple[int, int, int]) -> Picture:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:PICTURE_SIDE, :PICTURE_SIDE] + random.uniform(0, 6, size=2)[:, None, None]
    wave = np.sin(across * x + along * y) + np.sin(across * y - along * x)
    grain = random.normal(0, 6, size=(PICTURE_SIDE, PICTURE_SIDE, 3))
    pixels = np.array(colour) + 25 * wave[:, :, None] + grain
    rounded: Picture = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return rounded


def png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """RGB or grey pixels as a PNG file."""
    array = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(array))
    assert done
    return encoded.tobytes()


@pytest.fixture(scope="session")
def good_folder_of_bolts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of GOOD_IMAGES pictures of good bolts, as the trainer takes it."""
    return _folder_of(tmp_path_factory.mktemp("bolts"), [bolt_picture(number) for number in range(GOOD_IMAGES)])


def _folder_of(folder: Path, pictures: list[Picture]) -> Path:
    for number, picture in enumerate(pictures):
        (folder / f"{number:03}.png").write_bytes(png(picture))
    return folder


@pytest.fixture(scope="session")
def artifacts_folder(
    tmp_path_factory: pytest.TempPathFactory,
    good_folder_of_bolts: Path,
    source_weights: Mapping[str, torch.Tensor],
) -> Path:
    """A folder with the artifacts `bolt` and `tile`. Read only: a test that changes one copies it first."""
    tiles = _folder_of(tmp_path_factory.mktemp("tiles"), [tile_picture(number) for number in range(GOOD_IMAGES)])
    out = tmp_path_factory.mktemp("artifacts")
    method = config_of({"method": "mkd", "steps": STEPS, "batch_size": 4})
    settings = TrainingSettings(method=method, image_size=IMAGE_SIZE, hold_out=0.4)
    for product, data in (("bolt", good_folder_of_bolts), ("tile", tiles)):
        train(
            TrainingJob(data=data, product=product, out=out, settings=settings, backend="torch", threads=1),
            _SilentDisplay([]),
        )
    return out


@pytest.fixture(scope="session")
def good_images() -> list[bytes]:
    """PNG files of good bolts that no artifact was trained on."""
    return [png(bolt_picture(100 + number)) for number in range(6)]


@pytest.fixture(scope="session")
def bad_image() -> bytes:
    """A PNG file of a bolt with a dark blot painted on it."""
    picture = bolt_picture(200)
    cv2.circle(picture, (26, 14), 6, (10, 0, 0), -1)
    return png(picture)
