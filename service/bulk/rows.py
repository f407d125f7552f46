"""One image's outcome in, one row of the results out; the columns are the documentation (docs/bulk.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from models.calibration.conformal import Thresholds
from models.imaging.decode import ImageError
from models.imaging.map_picture import Region
from service.errors import ServiceError
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
Row = dict[str, Any]


def row_of(number: int, path: str, version: ProductVersion) -> Row:
    """What every row carries, judged or not."""
    return {
        "row": number,
        "path": path,
        "product": version.name,
        "version": version.version,
        "artifact": version.hash,
    }


def verdict(version: ProductVersion, thresholds: Thresholds, score: float) -> Row:
    """The members of a row whose image was judged; raises ValueError for a score that is no number."""
    return {
        "score": score,
        "p_value": version.calibration.p_value(score),
        "decision": thresholds.decide(score),
        "threshold": thresholds.ng.value,
        "review_threshold": thresholds.review.value if thresholds.review is not None else None,
    }


def failure(error: ImageError | ServiceError) -> Row:
    """The members of a row whose image was not judged: no decision, so nothing that could be taken for OK."""
    return {"error_code": error.code, "error_detail": error.detail}


def located(regions: Sequence[Region], map_file: str) -> Row:
    """The members that --maps adds."""
    return {"regions": [{**region._asdict(), "box": list(region.box)} for region in regions], "map_file": map_file}


def table_of(rows: Sequence[Row]) -> pa.Table:
    """The rows as a table of SCHEMA; members that a row lacks are null."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)
