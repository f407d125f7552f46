#!/usr/bin/env bash
# A TIFF whose photometric interpretation is "white is zero" is inverted by Pillow and OpenCV at 8 bits, and left
# inverted by both at 16 bits: a picture and its negative, by depth.
#
# Seen with opencv-python-headless 5.0.0.93, pillow 13.0.0. Why it matters here: line cameras and X-ray systems write such files; saved
# with more bits, a good part is judged as its own negative. models/imaging inverts at every depth.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 <<'CODE'
import sys
import cv2, numpy as np, PIL, tifffile
from PIL import Image
results = {}
for kind in (np.uint8, np.uint16):
    white = np.iinfo(kind).max
    stored = np.arange(16 * 20).reshape(16, 20).astype(kind)  # small numbers: nearly white
    tifffile.imwrite("picture.tif", stored, photometric="miniswhite")
    readers = {"Pillow": np.asarray(Image.open("picture.tif")), "OpenCV": cv2.imread("picture.tif", cv2.IMREAD_UNCHANGED)}
    for name, found in readers.items():
        results[name, white] = "inverted" if np.array_equal(found, white - stored) else "as stored" if np.array_equal(found, stored) else "other"
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}")
for (name, white), what in results.items():
    print(f"{name}, white {white}: {what}")
expected = {("Pillow", 255): "inverted", ("OpenCV", 255): "inverted", ("Pillow", 65535): "as stored", ("OpenCV", 65535): "as stored"}
sys.exit(0 if results == expected else 1)
CODE
