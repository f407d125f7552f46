"""The manifest's record of a recalibration, from images and from parts that people have confirmed."""

from __future__ import annotations

from models.artifact import FeedbackRecord, RecalibrationRecord

FEEDBACK = FeedbackRecord(
    recalibration=4,
    proposed_by="ann",
    applied_by="bob",
    since="2026-11-28T06:00:00.000Z",
    until="2026-11-28T14:00:00.000Z",
    inspected=1000,
    confirmed=120,
    held_back=24,
)


def record(feedback: FeedbackRecord | None) -> RecalibrationRecord:
    return RecalibrationRecord(
        from_version="1", from_sha256="0" * 64, images=96, data_sha256="1" * 64, feedback=feedback
    )


def test_one_from_images_is_written_as_before_there_was_feedback() -> None:
    assert "feedback" not in record(None).model_dump(mode="json")


def test_one_from_confirmed_parts_is_read_as_it_was_written() -> None:
    made = record(FEEDBACK)
    assert RecalibrationRecord.model_validate_json(made.model_dump_json()) == made
