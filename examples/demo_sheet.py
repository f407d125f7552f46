"""Judged pictures in, one contact sheet out: a column each with input, map, overlay and decision."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, LEFT, TOP, FOOT = 192, 10, 86, 46, 62
PAPER, INK, FAINT = (250, 250, 248), (32, 32, 36), (120, 120, 126)
COLOURS = {"OK": (28, 122, 62), "REVIEW": (176, 112, 0), "NG": (188, 30, 36)}
ROWS = ("input", "map", "overlay")


class Column(NamedTuple):
    """One picture with its entry of a /localize reply."""

    title: str
    file: Path
    entry: dict[str, Any]


def write_sheet(columns: Sequence[Column], file: Path) -> None:
    """Draws the sheet as PNG."""
    width = LEFT + len(columns) * (CELL + GAP) + GAP
    height = TOP + len(ROWS) * (CELL + GAP) + FOOT + 26
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(ROWS):
        draw.text((LEFT - 10, TOP + row * (CELL + GAP) + CELL // 2), name, FAINT, _font(16), anchor="rm")
    for place, column in enumerate(columns):
        _draw_column(sheet, draw, LEFT + place * (CELL + GAP), column)
    words = "the map's grey scale is the product's own, the same in every picture: black is quiet, mid-grey the limit"
    draw.text((LEFT, height - 14), words, FAINT, _font(13), anchor="lm")
    sheet.save(file)


def picture_of(base64_png: str) -> Image.Image:
    """A picture of a reply."""
    return Image.open(io.BytesIO(base64.b64decode(base64_png)))


def _draw_column(sheet: Image.Image, draw: ImageDraw.ImageDraw, left: int, column: Column) -> None:
    entry = column.entry
    middle = left + CELL // 2
    draw.text((middle, TOP // 2), column.title, INK, _font(17), anchor="mm")
    pictures = (Image.open(column.file), picture_of(entry["map"]), picture_of(entry["overlay"]))
    for row, picture in enumerate(pictures):
        scaled = picture.convert("RGB").resize((CELL, CELL), Image.Resampling.BICUBIC)
        sheet.paste(scaled, (left, TOP + row * (CELL + GAP)))
    below = TOP + len(ROWS) * (CELL + GAP)
    draw.rounded_rectangle((left, below, left + CELL, below + 32), 6, COLOURS[entry["decision"]])
    draw.text((middle, below + 16), entry["decision"], PAPER, _font(18), anchor="mm")
    numbers = f"score {entry['score']:.3f}, limit {entry['threshold']:.3f}"
    draw.text((middle, below + 46), numbers, FAINT, _font(14), anchor="mm")


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
