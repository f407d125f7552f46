"""Counts how many bytes an LZW stream of TIFF holds, without making them."""

from __future__ import annotations

CLEAR, END = 256, 257


def lzw_length(data: bytes) -> int:
    """Bytes up to the end mark, or to the end of the data where there is none; 0 for a stream that is none.

    Codes are packed from the highest bit and grow from 9 to 12 bits, one code earlier than the table needs (TIFF 6.0,
    section 13). Every code stands for one byte more than an earlier one, so lengths are all that is kept.
    """
    lengths: list[int] = []
    total = held = buffer = before = 0
    width = 9
    for byte in data:
        buffer, held = (buffer << 8 | byte) & 0xFFFFFF, held + 8
        if held < width:
            continue
        held -= width
        code = buffer >> held & ((1 << width) - 1)
        if code == END:
            return total
        if code == CLEAR:
            lengths, width, before = [1] * 256 + [0, 0], 9, 0
            continue
        if code > len(lengths) or (code == len(lengths) and not before):
            return 0  # not TIFF's LZW, or damage that libtiff refuses
        if before:
            lengths.append(before + 1)
        before = lengths[code]
        total += before
        if len(lengths) + 1 >= 1 << width and width < 12:
            width += 1
    return total
