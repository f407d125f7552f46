#!/usr/bin/env bash
# pysparkplug 0.3.0 (and 0.6.1, its newest): NDeath.decode drops the timestamp of a death certificate that has one, and gives
# 0 for one that has none: the condition on HasField is the wrong way round. A round trip does not give what was put in.
# Why it matters: a host that orders births and deaths by their times, as a late will needs it, takes every death for one
# without a time, or of 1970. Work-around: read the bytes by the published schema (Eclipse Tahu's sparkplug_b.proto).
set -euo pipefail
source "$(dirname "$0")/environment.bash"
in_a_fresh_environment pysparkplug==0.3.0 paho-mqtt==2.2.0 protobuf==7.36.2 <<'PYTHON'
from importlib.metadata import version

import pysparkplug as spark

number = spark.Metric(timestamp=1000, name="bdSeq", datatype=spark.DataType.INT64, value=3)
with_time = spark.NDeath(timestamp=1000, bd_seq_metric=number)
without = spark.NDeath(timestamp=None, bd_seq_metric=number)
seen = [spark.NDeath.decode(one.encode()).timestamp for one in (with_time, without)]
print("pysparkplug", version("pysparkplug"), "- a death at 1000 is read as", seen[0], "- one without a time as", seen[1])
raise SystemExit(0 if seen == [None, 0] else 1)
PYTHON
