#!/usr/bin/env bash
# OpenCV reads a 16-bit RGB TIFF whose planes lie apart (PlanarConfiguration 2) without an error, and the pixels are not the
# file's. tifffile reads them right.
#
# Seen with opencv-python-headless 5.0.0.93, tifffile 2026.3.3. Why it matters here: a camera's or microscope's planar TIFF
# would be judged by pixels that it does not have, and no log says so. models/imaging/tiff puts the planes together.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6 <<'CODE'
import sys
import cv2, numpy as np, tifffile
rgb = np.random.default_rng(0).integers(0, 65536, (32, 48, 3)).astype(np.uint16)
tifffile.imwrite("planar.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
right = np.array_equal(np.moveaxis(tifffile.imread("planar.tif"), 0, -1), rgb)
found = cv2.imread("planar.tif", cv2.IMREAD_UNCHANGED)
print(f"OpenCV {cv2.__version__}, tifffile {tifffile.__version__}: tifffile reads what was written: {right}")
if found is None:
    print("OpenCV now refuses the file")
    sys.exit(1)
same = found.shape == rgb.shape and float((found[:, :, ::-1] == rgb).mean())
print(f"OpenCV gives {found.shape} {found.dtype} without an error; {same:.1%} of the values are the file's")
sys.exit(0 if right and same < 0.5 else 1)
CODE
