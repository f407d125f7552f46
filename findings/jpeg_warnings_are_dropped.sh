#!/usr/bin/env bash
# A JPEG with a scan that contradicts itself (an unexpected restart marker) is damage that libjpeg warns of and then
# fills with grey. Pillow and OpenCV both give the picture, and a program learns nothing of the warning (OpenCV prints it to
# standard error). simplejpeg, whose
# libjpeg-turbo is asked for its warnings, refuses it by default.
#
# Seen with pillow 13.0.0, opencv-python-headless 5.0.0.93, simplejpeg 1.9.0. Why it matters here: a transfer fault becomes a grey area,
# which may well be judged OK. models/imaging/jpeg.py reads by simplejpeg (which also decodes four times as fast as Pillow).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 pillow==13.0.0 simplejpeg==1.9.0 numpy==2.4.6 <<'CODE'
import io, sys
import cv2, numpy as np, PIL, simplejpeg
from PIL import Image
smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8), (0, 0), 3)
stream = io.BytesIO()
Image.fromarray(smooth).save(stream, "JPEG", quality=92)
whole = stream.getvalue()
start = whole.index(b"\xff\xda")
middle = start + (len(whole) - start) // 2
data = whole[:middle] + b"\xff\xd3" + whole[middle + 2 :]
pillow = np.asarray(Image.open(io.BytesIO(data)))
opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
changed = float((pillow != np.asarray(Image.open(io.BytesIO(whole)))).any(axis=2).mean())
print(f"Pillow {PIL.__version__} gives a picture of which {changed:.0%} differs; OpenCV {cv2.__version__} gives one: {opencv is not None}")
try:
    simplejpeg.decode_jpeg(data)
    refused = False
except ValueError as error:
    refused = True
    print(f"simplejpeg refuses: {error}")
sys.exit(0 if changed > 0.05 and opencv is not None and refused else 1)
CODE
