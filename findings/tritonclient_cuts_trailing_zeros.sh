#!/usr/bin/env bash
# Triton's client takes a numpy array of kind S for a BYTES tensor and sends every element without its trailing zero bytes.
# A PNG or JPEG ends otherwise and arrives whole; an uncompressed BMP or TIFF whose last pixels are black arrives cut,
# and nothing warns. An array of dtype=object arrives whole.
#
# Seen with tritonclient 2.69.0. Why it matters here: service/oip takes images as BYTES. Its decoder finds such a file
# truncated, and the error names this cause.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
in_a_fresh_environment tritonclient==2.69.0 numpy==2.4.6 pillow==12.0.0 <<'CODE'
import io
import sys
from importlib import metadata
import numpy as np
from PIL import Image
from tritonclient.utils import serialize_byte_tensor
def missing(form, **options):
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, form, **options)
    sent = stream.getvalue()
    of_kind_s, of_objects = (serialize_byte_tensor(np.array([sent], dtype)).item() for dtype in (None, object))
    return len(sent) + 4 - len(of_kind_s), len(sent) + 4 - len(of_objects)
found = {form: missing(form) for form in ("PNG", "JPEG", "BMP", "TIFF")}
print(f"tritonclient {metadata.version('tritonclient')}: bytes missing of a black picture (kind S, objects): {found}")
sys.exit(0 if found["BMP"][0] > 10_000 and not any(whole for _, whole in found.values()) else 1)
CODE
