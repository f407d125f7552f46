"""Makes one metrics page of those of several replicas: the same samples, each with the replica's name as a label."""

from __future__ import annotations

import re
from collections.abc import Mapping

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)$")
LABEL = "replica"


def together(pages: Mapping[str, str]) -> str:
    """Pages in Prometheus' text format by replica -> one page; the format wants each family's samples in one place."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for replica, page in pages.items():
        family = ""
        for line in page.splitlines():
            if line.startswith("# "):
                _, kind, family, _ = line.split(" ", 3)
                head = heads.setdefault(family, [])
                if kind not in {other.split(" ", 2)[1] for other in head}:
                    head.append(line)
            elif (sample := SAMPLE.match(line)) is not None:
                name, labels, value = sample.groups()
                more = f",{labels}" if labels else ""
                samples.setdefault(family, []).append(f'{name}{{{LABEL}="{replica}"{more}}} {value}')
    return "".join("\n".join([*head, *samples.get(family, [])]) + "\n" for family, head in heads.items())
