#!/usr/bin/env bash
# pycomm3 1.2.16: LogixDriver.write of ONE tag puts the whole request twice into its packet. The request is built to
# measure its length, its flag is set back, and the next building appends to the parts that are there already
# (_write_build_single_request: build_message(), then _msg_setup = False). Two tags in one call are sent right.
# Why it matters: a device that checks lengths refuses the write (cpppo 5.2.5 answers 0xff/0x2105, "Access beyond end of
# the object"); one that does not gets trailing bytes that it never asked for. A single result bit could not be written.
# Work-around: always write two tags in one call.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pycomm3==1.2.16
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from pycomm3 import LogixDriver
from pycomm3.cip.data_types import INT, Array

driver = LogixDriver("127.0.0.1/0", init_tags=False, init_program_tags=False)
# As an upload of the tag list would have filled it; the docstring of LogixDriver names this way.
driver._tags = {"Word": {"tag_name": "Word", "instance_id": None, "dim": 1, "dimensions": [8, 0, 0], "alias": False,
                         "tag_type": "atomic", "data_type": "INT", "data_type_name": "INT",
                         "type_class": Array(8, INT)}}
sent = []
driver._target_is_connected = True          # no device is needed to see what would be sent
driver._send = lambda message: sent.append(message)
driver._receive = lambda: b"\0" * 64
try:
    driver.write(("Word[0]{2}", [0x1111, 0x2222]))
except Exception as error:
    print("(no device answers:", type(error).__name__ + ")")
data = bytes.fromhex("11112222")
times = b"".join(sent).count(data)
print("pycomm3", version("pycomm3"), "- one write carries its data", times, "times")
raise SystemExit(0 if times == 2 else 1)
PYTHON
