"""People judge parts, disagree and take back what they said; the queue, the filters and the verdict follow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from service.errors import AlreadyReviewed, Forbidden, ReviewNotFound, ServiceError, VerdictNotFound
from service.feedback.reviews import judge, withdraw
from service.feedback.rows import Label, Reviewed, Said, VerdictFilter
from service.feedback.verdicts import page, queue

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore

PNG = b"\x89PNG of a part"


def said(opened: OpenStore, verdict_id: int, label: Label, by: str = "ada") -> int:
    """`by` says `label` of a part; the review's id."""
    with opened.database.writing() as connection:
        return judge(connection, verdict_id, Said(label), by, at=5.0).review.id


def taken_back(opened: OpenStore, review_id: int, by: str = "ada", *, may_all: bool = False) -> None:
    with opened.database.writing() as connection:
        withdraw(connection, review_id, by, may_all=may_all, at=6.0)


def waiting(opened: OpenStore) -> list[int]:
    with opened.database.reading() as connection:
        rows, count = queue(connection, VerdictFilter(), 10)
    assert count == len(rows)
    return [row.id for row in rows]


def found(opened: OpenStore, reviewed: Reviewed) -> list[int]:
    with opened.database.reading() as connection:
        return [row.id for row in page(connection, VerdictFilter(reviewed=reviewed), None, 10)]


def test_the_queue_has_review_ng_and_spot_checks_with_a_picture_oldest_first(opened: OpenStore) -> None:
    ng = opened.add(decision="NG", picture=PNG)
    opened.add(decision="OK", picture=PNG)
    spot_check = opened.add(decision="OK", spot_check=True, picture=PNG)
    opened.add(decision="NG")  # without a picture nobody can judge it
    review = opened.add(decision="REVIEW", picture=PNG)
    assert waiting(opened) == [ng, spot_check, review]


def test_a_judgement_takes_a_part_out_of_the_queue_and_its_withdrawal_puts_it_back(opened: OpenStore) -> None:
    part = opened.add(decision="NG", picture=PNG)
    review = said(opened, part, "good")
    assert (waiting(opened), opened.row(part).judged) == ([], "good")
    taken_back(opened, review)
    (withdrawn,) = opened.row(part).reviews
    assert (waiting(opened), opened.row(part).judged, withdrawn.withdrawn_at) == ([part], "", 6.0)
    said(opened, part, "defect")
    assert opened.row(part).judged == "defect"


def test_unsure_keeps_a_part_in_the_queue_and_gives_way_to_what_the_same_person_says_next(opened: OpenStore) -> None:
    part = opened.add(decision="NG", picture=PNG)
    said(opened, part, "unsure")
    assert waiting(opened) == [part]
    said(opened, part, "defect")
    assert [(one.label, one.withdrawn_at) for one in opened.row(part).reviews] == [("unsure", 5.0), ("defect", None)]
    assert waiting(opened) == []


def test_two_reviewers_who_disagree_are_both_kept_and_found(opened: OpenStore) -> None:
    part, other = opened.add(decision="NG", picture=PNG), opened.add()
    said(opened, part, "good", by="ada")
    second = said(opened, part, "defect", by="bob")
    assert opened.row(part).judged == "disagreed"
    assert (found(opened, "disagreed"), found(opened, "yes"), found(opened, "no")) == ([part], [part], [other])
    taken_back(opened, second, by="bob")
    assert (opened.row(part).judged, found(opened, "disagreed")) == ("good", [])


def test_of_each_person_one_review_stands(opened: OpenStore) -> None:
    part = opened.add(decision="NG")
    said(opened, part, "good")
    with pytest.raises(AlreadyReviewed, match="withdraw review"):
        said(opened, part, "defect")
    assert [review.label for review in opened.row(part).reviews] == ["good"]


def test_one_person_who_judges_twice_at_the_same_time_is_heard_once(opened: OpenStore) -> None:
    part = opened.add(decision="NG")

    def attempt(label: Label) -> str:
        try:
            said(opened, part, label)
        except ServiceError as error:
            return error.code
        return "heard"

    labels: list[Label] = ["good", "defect"] * 4
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(attempt, labels))
    assert sorted(answers) == ["already_reviewed"] * 7 + ["heard"]
    assert len(opened.row(part).reviews) == 1


def test_a_review_is_withdrawn_by_its_maker_or_by_an_administrator(opened: OpenStore) -> None:
    part = opened.add(decision="NG")
    review = said(opened, part, "good", by="ada")
    with pytest.raises(Forbidden, match="'ada'"):
        taken_back(opened, review, by="bob")
    assert opened.row(part).judged == "good"
    taken_back(opened, review, by="bob", may_all=True)
    taken_back(opened, review, by="ada")  # again: it stays as it was
    assert [one.withdrawn_at for one in opened.row(part).reviews] == [6.0]


def test_what_is_not_there_is_said_to_be_not_there(opened: OpenStore) -> None:
    with pytest.raises(VerdictNotFound):
        said(opened, 77, "good")
    with pytest.raises(ReviewNotFound):
        taken_back(opened, 77)
