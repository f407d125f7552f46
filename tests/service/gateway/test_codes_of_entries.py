"""What the PLC is told of a picture that the service could not judge."""

from __future__ import annotations

import pytest

from models.imaging.errors import ERROR_CODES
from service.gateway.codes import Code
from service.gateway.judge import ENTRY_CODES, code_of_entry


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("image_channel_repeated", Code.LIGHT_REPEATED),
        ("image_channel_unknown", Code.LIGHT_UNKNOWN),
        ("image_channels_missing", Code.PICTURE_FORMAT),
        ("image_unreadable", Code.PICTURE_UNREADABLE),
        ("something_new", Code.SERVICE_FAULT),
    ],
)
def test_the_error_of_an_entry_has_a_code(error: str, code: Code) -> None:
    assert code_of_entry(error) is code


def test_every_error_of_an_image_that_is_told_apart_is_one_that_there_is() -> None:
    assert {error for error in ENTRY_CODES if error.startswith("image_")} <= set(ERROR_CODES)
