"""The rows of a bulk run's results, one for each image; the columns are the documentation (docs/bulk.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from models.imaging.decode import ImageError
from service.errors import ServiceError
from service.inspection.verdict import Verdict
from service.products.product import ProductVersion

_REGION = pa.struct(
    [
        ("box", pa.list_(pa.int32())),
        ("area_px", pa.int64()),
        ("area_share", pa.float64()),
        ("peak", pa.float64()),
        ("mean", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("path", pa.string()),
        ("product", pa.string()),
        ("version", pa.string()),
        ("artifact", pa.string()),
        ("score", pa.float64()),
        ("p_value", pa.float64()),
        ("decision", pa.string()),
        ("decided_by", pa.string()),
        ("group", pa.string()),
        ("threshold", pa.float64()),
        ("review_threshold", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("error_code", pa.string()),
        ("error_detail", pa.string()),
        ("regions", pa.list_(_REGION)),
        ("map_file", pa.string()),
    ]
)
ResultRow = dict[str, Any]


def row_of(number: int, path: str, version: ProductVersion) -> ResultRow:
    """What every row carries, judged or not."""
    return {
        "row": number,
        "path": path,
        "product": version.name,
        "version": version.version,
        "artifact": version.hash,
    }


def judged(verdict: Verdict) -> ResultRow:
    """The members of a row whose image was judged."""
    review = verdict.thresholds.review
    return {
        "score": verdict.score,
        "p_value": verdict.p_value,
        "decision": verdict.decision,
        "decided_by": verdict.decided_by,
        "group": verdict.group,
        "threshold": verdict.thresholds.ng.value,
        "review_threshold": review.value if review is not None else None,
    }


def located(verdict: Verdict, map_file: str) -> ResultRow:
    """The members that --maps adds."""
    regions = verdict.pictures.regions if verdict.pictures is not None else ()
    return {"regions": [{**region._asdict(), "box": list(region.box)} for region in regions], "map_file": map_file}


def failure(error: ImageError | ServiceError) -> ResultRow:
    """The members of a row whose image was not judged: no decision, so nothing that could be taken for OK."""
    return {"error_code": error.code, "error_detail": error.detail}


def table_of(rows: Sequence[ResultRow]) -> pa.Table:
    """The rows as a table of SCHEMA; members that a row lacks are null."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)
