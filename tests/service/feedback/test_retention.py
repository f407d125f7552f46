"""Pictures and verdicts go by age and bytes, what is worth least first, and what people said stays."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from service.feedback.retention import DAY_S, ORPHAN_S, Removed, keep_within_bounds, remove_orphans
from service.feedback.reviews import judge
from service.feedback.rows import Said

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore

NOW = 1_780_000_000.0
PNG = b"\x89PNG" + bytes(996)


def kept(opened: OpenStore, **bounds: Any) -> Removed:
    settings = replace(opened.settings, **bounds)
    return keep_within_bounds(opened.database, opened.pictures, settings, NOW)


def with_picture(opened: OpenStore) -> list[int]:
    rows = [row for row in opened.rows() if row.picture_file is not None]
    files = {path.relative_to(opened.pictures.path).as_posix() for path in opened.pictures.path.glob("*/*")}
    assert files == {row.picture_file for row in rows}
    return [row.id for row in rows]


def said(opened: OpenStore, verdict_id: int) -> None:
    with opened.database.writing() as connection:
        judge(connection, verdict_id, Said("good"), "ada", NOW)


def test_pictures_go_by_bytes_ok_first_then_review_ng_spot_checks_and_reviewed_ones_last(opened: OpenStore) -> None:
    spot_check = opened.add(decision="OK", spot_check=True, picture=PNG, at=NOW - 9)
    reviewed = opened.add(decision="OK", picture=PNG, at=NOW - 8)
    said(opened, reviewed)
    ng = opened.add(decision="NG", picture=PNG, at=NOW - 7)
    review = opened.add(decision="REVIEW", picture=PNG, at=NOW - 6)
    old, new = (opened.add(decision="OK", picture=PNG, at=NOW - age) for age in (5, 4))
    order = [old, new, review, ng, spot_check, reviewed]
    for count, last in enumerate(order, 1):
        removed = kept(opened, keep_bytes=1000 * (len(order) - count + 1) - 1)
        assert removed.pictures == {"age": 0, "bytes": 1}
        assert last not in with_picture(opened)
        assert removed.picture_bytes == 1000 * (len(order) - count)
    gone = opened.row(ng)
    assert (gone.picture_gone_at, gone.waiting, gone.decision) == (NOW, False, "NG")


def test_under_the_bound_nothing_goes(opened: OpenStore) -> None:
    part = opened.add(decision="NG", picture=PNG)
    assert not kept(opened, keep_bytes=1000).anything
    assert with_picture(opened) == [part]


def test_by_age_all_goes_that_nobody_has_reviewed(opened: OpenStore) -> None:
    days = 30 * DAY_S
    old, reviewed = (opened.add(decision="NG", picture=PNG, at=NOW - days - 1) for _ in range(2))
    said(opened, reviewed)
    young = opened.add(decision="NG", picture=PNG, at=NOW - days + 60)
    removed = kept(opened, keep_days=30)
    assert (removed.pictures, removed.verdicts, removed.waiting) == ({"age": 1, "bytes": 0}, 1, 1)
    assert [row.id for row in opened.rows()] == with_picture(opened) == [reviewed, young]
    assert old not in with_picture(opened)


def test_by_number_the_oldest_verdicts_go_that_nobody_has_reviewed(opened: OpenStore) -> None:
    parts = [opened.add() for _ in range(6)]
    said(opened, parts[0])
    removed = kept(opened, keep_verdicts=3)
    assert removed.verdicts == 2
    assert [row.id for row in opened.rows()] == [parts[0], *parts[3:]]


def test_without_bounds_all_stays(opened: OpenStore) -> None:
    opened.add(decision="NG", picture=PNG, at=1.0)
    assert not kept(opened).anything


def test_files_that_no_verdict_names_go_after_a_while(opened: OpenStore) -> None:
    part = opened.add(decision="NG", picture=PNG)
    left, fresh = opened.pictures.keep(PNG, NOW), opened.pictures.keep(PNG, NOW)
    stray = opened.pictures.path / "notes.txt"
    stray.write_text("of a person")
    file = str(opened.row(part).picture_file)
    for name, age in ((left, ORPHAN_S + 9), (file, ORPHAN_S + 9), (fresh, 0)):
        os.utime(opened.pictures.path / name, (NOW - age, NOW - age))
    assert remove_orphans(opened.database, opened.pictures, NOW) == 1
    assert not (opened.pictures.path / left).exists()
    assert all(path.exists() for path in (stray, opened.pictures.path / file, opened.pictures.path / fresh))
