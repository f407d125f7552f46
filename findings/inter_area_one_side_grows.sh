#!/usr/bin/env bash
# OpenCV's INTER_AREA averages only where both sides shrink. As soon as one side grows it samples both sides linearly: of
# 4,096 columns that become 128, those between the sampled ones leave no trace.
#
# Seen with opencv-python-headless 5.0.0.93. Why it matters here: 12 px wide scratches on 4,096 x 64 strips left the score
# unchanged to the last digit. models/imaging/preprocess.py (version 2) resizes one side at a time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment opencv-python-headless==5.0.0.93 numpy==2.4.6 <<'CODE'
import sys
import cv2, numpy as np
def seen(resize):
    count = 0
    good = resize(np.full((64, 4096), 120, np.uint8))
    for place in np.linspace(5, 4070, 30).astype(int):
        strip = np.full((64, 4096), 120, np.uint8)
        strip[20:44, place : place + 12] = 40
        count += not np.array_equal(resize(strip), good)
    return count
at_once = seen(lambda strip: cv2.resize(strip, (128, 128), interpolation=cv2.INTER_AREA))
in_turn = seen(lambda strip: cv2.resize(cv2.resize(strip, (128, 64), interpolation=cv2.INTER_AREA), (128, 128), interpolation=cv2.INTER_LINEAR))
print(f"OpenCV {cv2.__version__}: of 30 scratches INTER_AREA at once shows {at_once}, one side after the other {in_turn}")
sys.exit(0 if at_once < 20 and in_turn == 30 else 1)
CODE
