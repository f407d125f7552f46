#!/usr/bin/env bash
# pydantic 2.14.4: model_copy(update=...) takes along what a functools.cached_property has worked out from the old fields. The copy
# answers with the old value, also where it is frozen, and still compares equal to a model that was made anew with the new fields.
# Why it matters: a calibration whose weights were worked out once, copied with other scores, decides parts by the old ones, and no
# comparison shows it. Our care: Calibration.model_copy in models/calibration/conformal.py drops what was worked out.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
in_a_fresh_environment pydantic==2.14.4 <<'PYTHON'
from functools import cached_property

import pydantic


class Scores(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    values: tuple[float, ...]

    @cached_property
    def highest(self) -> float:
        return max(self.values)


first = Scores(values=(1.0, 2.0))
assert first.highest == 2.0
second = first.model_copy(update={"values": (7.0, 9.0)})
fresh = Scores(values=(7.0, 9.0))
print("pydantic", pydantic.VERSION, "- the copy's values:", second.values, "- its highest:", second.highest)
print("made anew:", fresh.highest, "- and the two compare", "equal" if second == fresh else "unequal")
raise SystemExit(0 if second.highest == 2.0 and second == fresh else 1)
PYTHON
