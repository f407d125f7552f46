#!/usr/bin/env bash
# Pillow reads a PNG whose compressed stream ends in order after half of the rows, and fills the rest with black, without an
# error or a warning. Cut within a row it is an error. OpenCV refuses both.
#
# Seen with pillow 13.0.0, opencv-python-headless 5.0.0.93. Why it matters here: every checksum of such a file is right, so only the
# number of rows tells. Half a part is judged. models/imaging reads PNG through OpenCV, by way of its own chunk reader.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6 <<'CODE'
import io, struct, sys, zlib
import cv2, numpy as np, PIL
from PIL import Image
def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
rows = np.random.default_rng(0).integers(1, 256, (48, 64, 3), dtype=np.uint8)
raw = b"".join(b"\0" + row.tobytes() for row in rows[:24])
data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
try:
    found = np.asarray(Image.open(io.BytesIO(data)))
    black = not found[24:].any() and np.array_equal(found[:24], rows[:24])
except OSError as error:
    black = False
    print(f"Pillow {PIL.__version__} refuses: {error}")
refused = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is None
print(f"Pillow {PIL.__version__} gives 48 rows, the lower 24 black: {black}; OpenCV {cv2.__version__} refuses: {refused}")
sys.exit(0 if black and refused else 1)
CODE
