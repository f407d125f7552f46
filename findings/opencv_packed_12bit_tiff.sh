#!/usr/bin/env bash
# OpenCV reads packed 12-bit samples of a TIFF times 16 (10 bits times 64, 14 bits times 4); Pillow reads the values that
# are in the file, 0 to 4095.
#
# Seen with opencv-python-headless 5.0.0.93, pillow 13.0.0. Why it matters here: a white level learnt through one reader is wrong by
# 16 times through the other, and nearly all pixels saturate. models/imaging gives 0 to 4095.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6 <<'CODE'
import struct, sys
import cv2, numpy as np, PIL
from PIL import Image
def packed(values, bits):
    places = np.arange(bits - 1, -1, -1)
    return np.packbits((values[:, :, None] >> places & 1).astype(np.uint8).reshape(len(values), -1), axis=1).tobytes()
def tiff(values, bits):
    data = packed(values, bits)
    entries = [(256, 3, 1, values.shape[1]), (257, 3, 1, values.shape[0]), (258, 3, 1, bits), (259, 3, 1, 1),
               (262, 3, 1, 1), (273, 4, 1, 8 + 2 + 12 * 9 + 4), (277, 3, 1, 1), (278, 3, 1, values.shape[0]), (279, 4, 1, len(data))]
    return (b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4) + data)
seen = {}
for bits in (10, 12, 14):
    values = np.arange(16 * 24).reshape(16, 24) * 5 % 2**bits
    data = tiff(values, bits)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    seen[bits] = found is not None and np.array_equal(found, values << (16 - bits))
    if bits == 12:
        open("twelve.tif", "wb").write(data)
        pillow = np.array_equal(np.asarray(Image.open("twelve.tif")), values)
        print(f"Pillow {PIL.__version__} gives the 12-bit file's own values: {pillow}")
for bits, moved in seen.items():
    print(f"OpenCV {cv2.__version__} gives the {bits}-bit file's values times {2 ** (16 - bits)}: {moved}")
sys.exit(0 if all(seen.values()) and pillow else 1)
CODE
