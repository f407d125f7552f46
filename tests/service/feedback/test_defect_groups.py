"""Regions that are alike become a group that keeps its name; parts that are good, gone or unclear do not disturb it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.sources.registry import SOURCES
from service.errors import DefectGroupNotFound
from service.feedback.defect_groups.descriptors import SIDE, crop_of, good_crops, good_distance
from service.feedback.defect_groups.grouping import Centre, nearest, to_bytes
from service.feedback.defect_groups.records import MOST, give_up, groups, name, named_products, put, waiting
from service.feedback.defect_groups.rows import DefectGroups, Region
from service.feedback.retention import keep_within_bounds
from service.feedback.reviews import judge
from service.feedback.rows import Resembles, Said
from service.feedback.settings import FeedbackSettings

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore

PNG = b"\x89PNG of a part"
REACH = 0.1
AT = 1_780_000_000.0


def region(verdict_id: int, *direction: float, space: str = "vgg16") -> Region:
    vector = np.array(direction, np.float32)
    return Region(verdict_id, "screw", (4, 2, 10, 8), space, to_bytes(vector / np.float32(np.linalg.norm(vector))))


def placed(opened: OpenStore, *direction: float, space: str = "vgg16", decision: str = "NG") -> tuple[int, int | None]:
    """A part with a region of that direction; its id and its group."""
    part = opened.add(decision=decision, picture=PNG)
    with opened.database.writing() as connection:
        return part, put(connection, region(part, *direction, space=space), REACH, AT)


def found(opened: OpenStore, since: float | None = None) -> DefectGroups:
    with opened.database.reading() as connection:
        return groups(connection, "screw", since)


def test_the_nearest_group_within_reach_is_taken() -> None:
    east, north = np.array([3.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    known = [Centre(1, east, 0.3), Centre(2, north, 0.3)]
    place = nearest(np.array([0.8, 0.6], np.float32), known)
    assert place is not None
    assert place[0].group == 1
    assert place[1] == pytest.approx(0.2, abs=1e-6)
    assert nearest(np.array([0.7, 0.7], np.float32), [Centre(1, east, 0.2)]) is None
    assert nearest(east, []) is None


def test_regions_that_are_alike_become_a_group_and_others_stay_alone(opened: OpenStore) -> None:
    first, group = placed(opened, 1, 0.1, 0)
    second, same = placed(opened, 1, 0, 0.1)
    alone, other = placed(opened, 0, 0, 1)
    assert group == same != other
    listed = found(opened)
    (only,) = listed.groups
    assert ([one.verdict.id for one in only.newest], only.parts) == ([second, first], 2)
    assert only.newest[0].box == (4, 2, 10, 8)
    assert (listed.inspected, listed.alone, listed.waiting) == (3, 1, 0)
    assert opened.row(alone).resembles is None
    assert group is not None
    assert opened.row(first).resembles == Resembles(group, None, 0.0)
    assert found(opened, since=AT + 1e6).groups == ()


def test_a_named_group_keeps_its_name_when_parts_are_added(opened: OpenStore) -> None:
    _, group = placed(opened, 1, 0.1, 0)
    assert group is not None
    with opened.database.writing() as connection:
        assert name(connection, "screw", group, "scratch", "ada", AT) is None
        assert named_products(connection) == ["screw"]
    for number in range(6):
        placed(opened, 1, 0.1 + number / 20, 0)
        placed(opened, 0, number, 5)
    part, again = placed(opened, 1, 0.2, 0)
    resembles = opened.row(part).resembles
    assert again == group
    assert resembles is not None
    assert (resembles.group, resembles.name) == (group, "scratch")
    assert {one.id: one.named_by for one in found(opened).groups}[group] == "ada"
    with opened.database.writing() as connection:
        assert name(connection, "screw", group, None, "ben", AT) == "scratch"
        with pytest.raises(DefectGroupNotFound):
            name(connection, "nut", group, "of another product", "ben", AT)


def test_descriptors_of_another_space_are_not_compared(opened: OpenStore) -> None:
    _, group = placed(opened, 1, 0)
    _, other = placed(opened, 1, 0, 0, space="efficientnet-lite0")
    assert group != other


def test_defective_parts_with_a_picture_wait_until_they_have_been_looked_at(opened: OpenStore) -> None:
    ng, confirmed = opened.add(decision="NG", picture=PNG), opened.add(decision="OK", picture=PNG)
    opened.add(decision="NG")
    opened.add(decision="REVIEW", picture=PNG)
    false_reject = opened.add(decision="NG", picture=PNG)
    with opened.database.writing() as connection:
        judge(connection, confirmed, Said("defect"), "ada", AT)
        judge(connection, false_reject, Said("good"), "ada", AT)
        assert [row.id for row in waiting(connection, "screw")] == [ng, confirmed]
        put(connection, region(ng, 1, 0), REACH, AT)
        give_up(connection, confirmed, "no_region")
        give_up(connection, confirmed, "failed")  # as another process may, at the same time
        assert put(connection, region(ng, 0, 1), REACH, AT) is None
        assert waiting(connection, "screw") == []
    assert found(opened).undescribed == {"no_region": 1}


def test_no_more_than_the_newest_are_looked_at(opened_in_sqlite: OpenStore) -> None:
    for _ in range(3):
        opened_in_sqlite.add(decision="NG", picture=PNG)
    with opened_in_sqlite.database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO verdicts SELECT NULL, at, request_id, image_index, caller, product, version, method, hash, "
            "score, p_value, threshold, review_threshold, decision, decided_by, line, station, part_id, filename, "
            "width, height, spot_check, spot_check_share, picture_file, picture_type, picture_bytes, picture_gone_at, "
            "judged, waiting FROM verdicts, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) "
            "SELECT i FROM n)"
        )
        assert [row.id for row in waiting(connection, "screw")] == list(range(104, 304))
    assert MOST == 200


def test_parts_called_good_leave_the_group(opened: OpenStore) -> None:
    first, _ = placed(opened, 1, 0)
    second, _ = placed(opened, 1, 0)
    with opened.database.writing() as connection:
        judge(connection, first, Said("good"), "ada", AT)
    (group,) = found(opened).groups
    assert [one.verdict.id for one in group.newest] == [second]


def test_a_verdict_that_goes_takes_its_region_along(opened: OpenStore) -> None:
    part, _ = placed(opened, 1, 0)
    settings = FeedbackSettings(folder=opened.settings.folder, keep_days=1)
    keep_within_bounds(opened.database, opened.pictures, settings, AT + 1e6)
    assert opened.rows() == []
    with opened.database.writing() as connection:
        assert put(connection, region(part, 1, 0), REACH, AT) is None
    assert found(opened).groups == ()


def test_a_crop_is_a_square_around_the_region_inside_the_picture() -> None:
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[20:30, 90:100] = 255
    crop = crop_of(pixels, (90, 20, 10, 10), 65535)
    assert crop.shape == (15, 15, 3)
    assert crop.any(axis=2).sum() == 100
    assert crop_of(pixels, (0, 0, 100, 60), 65535).shape == (60, 60, 3)
    assert crop_of(pixels, (50, 30, 1, 1), 65535).shape == (8, 8, 3)
    deep = crop_of(pixels.astype(np.uint16) * 16, (90, 20, 10, 10), 4095)
    assert deep.dtype == np.uint8
    assert int(deep.max()) == 254
    assert all(min(one.shape[:2]) >= 8 for one in good_crops(pixels, 65535, np.random.default_rng(0)))


def test_good_parts_say_how_near_is_alike_without_comparing_a_picture_with_itself() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert good_distance(vectors, [0, 0, 1, 1]) == pytest.approx(1.0)
    assert good_distance(vectors, [0, 1, 2, 3]) == pytest.approx(0.0)


def test_every_source_has_a_tap_to_describe_by() -> None:
    for spec in SOURCES.values():
        assert len(spec.taps) >= 2
        assert SIDE % list(spec.taps.values())[-2].stride == 0
