"""How REST shows the core's verdicts: as the entries of a /score or /localize reply."""

from __future__ import annotations

import base64

from models.imaging.map_picture import GREY_AT_THRESHOLD
from service.inspection.map_pictures import MapPictures
from service.inspection.verdict import ImageFailure, StageTimes, Verdict
from service.rest import schemas

Entry = schemas.Verdict | schemas.LocalizedVerdict | schemas.EntryError


def entry_of(found: Verdict | ImageFailure) -> Entry:
    """One entry of `results`. With pictures it takes milliseconds, so call it in a thread."""
    if isinstance(found, ImageFailure):
        body = schemas.EntryErrorBody(code=found.error.code, title=found.title, detail=found.error.detail)
        return schemas.EntryError(index=found.index, filename=found.name, error=body)
    ng, review = found.thresholds.ng, found.thresholds.review
    members = {
        "index": found.index,
        "filename": found.name,
        "product": found.product,
        "artifact": schemas.ArtifactRef(version=found.version, method=found.method, hash=found.hash),
        "score": found.score,
        "p_value": found.p_value,
        "threshold": ng.value,
        "threshold_origin": ng.origin,
        "review_threshold": review.value if review is not None else None,
        "decision": found.decision,
        "decided_by": found.decided_by,
        "image": schemas.ImageSize(width=found.width, height=found.height, seen=found.size_seen),
        "tile": found.tile,
        "group": found.group,
        "timing": _timing(found.times),
    }
    if found.pictures is None:
        return schemas.Verdict.model_validate(members)
    more = {"overlay": in_base64(found.pictures.overlay), "mask": in_base64(found.pictures.mask)}
    return schemas.LocalizedVerdict.model_validate({**members, **_localization(found.pictures), **more})


def localization_of(pictures: MapPictures) -> schemas.Localization:
    """Map and regions alone. It takes milliseconds, so call it in a thread."""
    return schemas.Localization.model_validate(_localization(pictures))


def _timing(times: StageTimes) -> schemas.Timing:
    return schemas.Timing(
        decode_ms=milliseconds(times.decode),
        queue_ms=milliseconds(times.queue),
        device_ms=milliseconds(times.device),
        encode_ms=milliseconds(times.encode),
        total_ms=milliseconds(times.total),
    )


def _localization(pictures: MapPictures) -> dict[str, object]:
    scale = pictures.scale
    return {
        "map": in_base64(pictures.map),
        "map_scale": schemas.MapScaleSchema(
            low=scale.low, high=scale.high, threshold=scale.threshold, grey_at_threshold=GREY_AT_THRESHOLD
        ),
        "regions": [schemas.RegionSchema(**region._asdict()) for region in pictures.regions],
        "group": pictures.group,
    }


def in_base64(data: bytes | None) -> str | None:
    """The bytes in base64 (RFC 4648); None stays None."""
    return None if data is None else base64.b64encode(data).decode("ascii")


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds with two places."""
    return round(seconds * 1000, 2)
