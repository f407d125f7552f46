"""Says for each format and layout of samples what is done with it: the one table, in code and in docs/images-in.md.

What is not in the table is refused before decoding, in words that name the facet that does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.imaging.errors import ImageError

UNCOMPRESSED = "none"
LOSSLESS = (UNCOMPRESSED, "LZW", "Deflate", "PackBits", "LZMA", "Zstandard")
TOGETHER, APART = "together", "apart"
NO_EXTRA, OPACITY, PREMULTIPLIED, UNSPECIFIED = "none", "opacity", "premultiplied opacity", "unspecified"
NAMED = "a transparent colour"
FURTHER = "further channels"  # two or more extra samples of which nothing is said


@dataclass(frozen=True)
class Facts:
    """What one file's header says of its samples. `bits` are per sample, as stored."""

    format: str
    colour: str
    sample: str = "unsigned"
    bits: int = 8
    planes: str = TOGETHER
    extra: str = NO_EXTRA
    compression: str = UNCOMPRESSED


@dataclass(frozen=True)
class Layout:
    """One row of the table: the facts that it covers, and what is done with the samples."""

    format: str
    colour: tuple[str, ...]
    bits: tuple[int, ...]
    extra: tuple[str, ...]
    compression: tuple[str, ...]
    done: str
    sample: tuple[str, ...] = ("unsigned",)
    planes: tuple[str, ...] = (TOGETHER,)

    def taken(self, facet: str) -> tuple[str | int, ...]:
        """The values of one facet that this row covers."""
        values: tuple[str | int, ...] = getattr(self, facet)
        return values


GREY = "three equal channels; 1, 2 and 4 bits are stretched to 0..255, 10 to 16 bits stay as they are (uint16)"
INVERTED = "inverted within its bits, then as grey"
BLEND = "laid over black by its opacity, unless that hides the picture (see below)"
IGNORED = "an unspecified extra sample is ignored"
UP_TO_16 = (1, 2, 4, 8, 10, 12, 14, 16)
LAYOUTS: tuple[Layout, ...] = (
    Layout("PNG", ("grey",), (1, 2, 4, 8, 16), (NO_EXTRA,), ("Deflate",), GREY),
    Layout("PNG", ("grey",), (1, 2, 4, 8, 16), (NAMED,), ("Deflate",), f"as grey; the named value is clear, {BLEND}"),
    Layout("PNG", ("grey",), (8, 16), (OPACITY,), ("Deflate",), f"as grey, {BLEND}"),
    Layout("PNG", ("RGB",), (8, 16), (NO_EXTRA,), ("Deflate",), "as stored"),
    Layout("PNG", ("RGB",), (8, 16), (NAMED,), ("Deflate",), f"as stored; the named colour is clear, {BLEND}"),
    Layout("PNG", ("RGB",), (8, 16), (OPACITY,), ("Deflate",), BLEND),
    Layout("PNG", ("palette",), (1, 2, 4, 8), (NO_EXTRA,), ("Deflate",), "expanded to 8-bit RGB"),
    Layout("PNG", ("palette",), (1, 2, 4, 8), (OPACITY,), ("Deflate",), f"expanded to 8-bit RGB, {BLEND}"),
    Layout("JPEG", ("grey",), (8,), (NO_EXTRA,), ("baseline", "extended", "progressive"), GREY),
    Layout("JPEG", ("YCbCr", "RGB"), (8,), (NO_EXTRA,), ("baseline", "extended", "progressive"), "RGB by libjpeg"),
    Layout(
        "JPEG",
        ("Adobe CMYK", "Adobe YCCK"),
        (8,),
        (NO_EXTRA,),
        ("baseline", "extended", "progressive"),
        "RGB as (255 - ink) (255 - black) / 255; no colour profile is applied",
    ),
    Layout("BMP", ("palette",), (1, 4, 8), (NO_EXTRA,), (UNCOMPRESSED,), "expanded to 8-bit RGB"),
    Layout("BMP", ("RGB",), (8,), (NO_EXTRA, UNSPECIFIED), (UNCOMPRESSED,), f"as stored; {IGNORED}"),
    Layout("BMP", ("RGB",), (8,), (OPACITY,), (UNCOMPRESSED,), f"with an alpha mask in the header: {BLEND}"),
    Layout("WEBP", ("RGB",), (8,), (NO_EXTRA,), ("lossy", "lossless"), "RGB by libwebp"),
    Layout("WEBP", ("RGB",), (8,), (OPACITY,), ("lossy", "lossless"), BLEND),
    Layout(
        "TIFF",
        ("black is zero",),
        UP_TO_16,
        (NO_EXTRA, UNSPECIFIED),
        LOSSLESS,
        f"{GREY}; {IGNORED}",
        planes=(TOGETHER, APART),
    ),
    Layout(
        "TIFF",
        ("white is zero",),
        UP_TO_16,
        (NO_EXTRA, UNSPECIFIED),
        LOSSLESS,
        f"{INVERTED}; {IGNORED}",
        planes=(TOGETHER, APART),
    ),
    Layout(
        "TIFF",
        ("RGB",),
        UP_TO_16,
        (NO_EXTRA, UNSPECIFIED, PREMULTIPLIED),
        LOSSLESS,
        f"as grey, without making channels equal; {IGNORED}; premultiplied colours lie over black already",
        planes=(TOGETHER, APART),
    ),
    Layout("TIFF", ("RGB",), (8, 16), (OPACITY,), LOSSLESS, BLEND, planes=(TOGETHER, APART)),
    Layout("TIFF", ("black is zero",), (8, 16), (OPACITY,), LOSSLESS, f"as grey, {BLEND}", planes=(TOGETHER, APART)),
    Layout(
        "TIFF",
        ("black is zero",),
        (8, 16),
        (PREMULTIPLIED,),
        LOSSLESS,
        "as grey; premultiplied values lie over black already",
        planes=(TOGETHER, APART),
    ),
    Layout(
        "TIFF",
        ("palette",),
        (1, 2, 4, 8),
        (NO_EXTRA,),
        LOSSLESS,
        "expanded to 8-bit RGB: the upper 8 bits of the 16 of the colour map",
    ),
    Layout(
        "TIFF",
        ("CMYK",),
        (8, 16),
        (NO_EXTRA, UNSPECIFIED),
        LOSSLESS,
        f"RGB as (white - ink) (white - black) / white; no colour profile is applied; {IGNORED}",
        planes=(TOGETHER, APART),
    ),
    Layout("TIFF", ("black is zero", "white is zero"), (8,), (NO_EXTRA,), ("JPEG",), f"{GREY}; white is zero inverted"),
    Layout("TIFF", ("RGB", "YCbCr"), (8,), (NO_EXTRA,), ("JPEG",), "RGB by libjpeg"),
)
# Read as the channels of a product that has groups of them (models.imaging.grouped_decode), and for no other product.
CHANNEL_LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "TIFF",
        ("black is zero", "RGB"),
        (8, 16),
        (FURTHER,),
        LOSSLESS,
        "as stored, for a product with groups of channels (see Channels); refused for others",
        planes=(TOGETHER, APART),
    ),
)
FACETS: dict[str, str] = {
    "colour": "colour",
    "sample": "sample format",
    "bits": "bits per sample",
    "planes": "planes",
    "extra": "extra samples",
    "compression": "compression",
}


def layout_of(facts: Facts) -> Layout:
    """The row that covers a file. Raises image_layout_not_supported, naming the first facet that no row has."""
    rows = [row for row in (*LAYOUTS, *CHANNEL_LAYOUTS) if row.format == facts.format]
    so_far = facts.format
    for facet, words in FACETS.items():
        found: str | int = getattr(facts, facet)
        fitting = [row for row in rows if found in row.taken(facet)]
        if not fitting:
            taken = sorted(
                {str(value) for row in rows for value in row.taken(facet)}, key=lambda text: (len(text), text)
            )
            raise ImageError(
                "image_layout_not_supported",
                f"{so_far} with {words} '{found}' is not taken; taken are {', '.join(taken)} (docs/images-in.md)",
            )
        rows, so_far = fitting, f"{so_far}, {found} {'bits' if facet == 'bits' else ''}".rstrip()
    return rows[0]


def markdown() -> str:
    """The table as it stands in docs/images-in.md."""
    names = {"format": "Format", **{facet: words[0].upper() + words[1:] for facet, words in FACETS.items()}}
    lines = ["| " + " | ".join([*names.values(), "What is done"]) + " |", "|---" * (len(names) + 1) + "|"]
    for row in (*LAYOUTS, *CHANNEL_LAYOUTS):
        cells = [row.format, *(", ".join(map(str, row.taken(facet))) for facet in FACETS), row.done]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
