"""What a window of judged parts becomes: new thresholds that keep their promise, or a refusal that says what helps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.calibration.conformal import Calibration, MapScale
from service.feedback.recalibration.parts import HELD_BACK_SHARE, Part, first_inspections
from service.feedback.recalibration.proposal import Proposal, Rates, proposed
from service.feedback.recalibration.refusals import Refused, iso

OLD = Calibration(
    scores=tuple(np.linspace(0.0, 1.0, 199).tolist()),
    map_scale=MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05),
    map_peaks=(0.1, 0.2),
)
NG, REVIEW = OLD.threshold(0.01).value, OLD.threshold(0.05).value
RATES = Rates(ng=0.01, review=0.05)


def part(number: int, score: float, *, drawn: bool = False, share: float = 0.1, defect: str | None = None) -> Part:
    """A part that people have judged where it was chosen for it, as a good one or a defect of that class."""
    decision = OLD.thresholds().decide(score)
    chosen = drawn or decision != "OK"
    return Part(
        verdict_id=number,
        at=1000.0 + number,
        score=score,
        decision=decision,
        threshold=NG,
        review_threshold=REVIEW,
        spot_check=drawn,
        spot_check_share=share,
        label=None if not chosen else "defect" if defect else "good",
        defect_class=defect,
    )


def line(count: int = 1000, *, share: float = 0.1, shift: float = 0.2, seed: int = 0) -> list[Part]:
    """Good parts whose scores have risen by `shift`."""
    random = np.random.default_rng(seed)
    scores = (random.uniform(0, 1, count) + shift).tolist()
    drawn = (random.random(count) < share).tolist()
    return [
        part(number, score, drawn=one, share=share)
        for number, (score, one) in enumerate(zip(scores, drawn, strict=True))
    ]


def refusal(parts: Sequence[Part], rates: Rates = RATES) -> Refused:
    with pytest.raises(Refused) as caught:
        proposed(parts, OLD, rates)
    return caught.value


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    return proposed(
        [*line(), part(2000, 1.1, defect="scratch"), part(2001, 0.4, drawn=True, defect="stain")], OLD, RATES
    )


def test_thresholds_follow_the_parts_at_the_promised_rate(proposal: Proposal) -> None:
    """The scores now reach to 1.2, so the highest hundredth begins near 1.19."""
    assert proposal.before.ng.value == NG
    assert 1.17 < proposal.after.ng.value < 1.2
    assert proposal.after.ng.rate_promised == 0.01
    assert proposal.after.review is not None
    assert 1.12 < proposal.after.review.value < proposal.after.ng.value


def test_the_map_keeps_its_scale(proposal: Proposal) -> None:
    assert proposal.calibration.map_scale == OLD.map_scale
    assert proposal.calibration.map_peaks == OLD.map_peaks


def test_a_share_of_the_confirmed_parts_is_held_back_and_chooses_nothing(proposal: Proposal) -> None:
    counts = proposal.counts
    assert counts.confirmed == counts.used + counts.held_back
    assert counts.held_back / counts.confirmed == pytest.approx(HELD_BACK_SHARE, abs=0.08)
    assert not any(one.held_back for one in proposal.used)
    assert proposal.held_back.parts == counts.held_back
    assert proposal.held_back.rejected_before > 10 * proposal.held_back.rejected_after
    assert proposal.held_back.after.low <= 0.01 <= proposal.held_back.after.high


def test_which_parts_are_held_back_depends_on_their_ids_alone() -> None:
    first = [one.verdict_id for one in line(seed=1) if one.held_back]
    assert first == [one.verdict_id for one in line(seed=2) if one.held_back]


def test_no_defect_chooses_a_threshold(proposal: Proposal) -> None:
    """A hundred confirmed defects more, and the thresholds are those without them."""
    defects = [part(3000 + number, 2.0 + number / 100, defect="scratch") for number in range(100)]
    more = proposed([*line(), *defects], OLD, RATES)
    assert more.after.ng.value == proposal.after.ng.value
    assert more.misses["scratch"].parts == 100


def test_misses_are_shown_by_class_before_and_after(proposal: Proposal) -> None:
    """The scratch at 1.1 was NG and would be OK; the stain was OK, and a spot check found it."""
    assert set(proposal.misses) == {"scratch", "stain"}
    scratch, stain = proposal.misses["scratch"], proposal.misses["stain"]
    assert (scratch.parts, scratch.before, scratch.after) == (1, 0, 1)
    assert (stain.parts, stain.before, stain.after) == (1, 1, 1)


def test_what_would_change_is_counted(proposal: Proposal) -> None:
    parts = line()
    old, new = OLD.thresholds(), proposal.after
    decided = [(old.decide(one.score), new.decide(one.score)) for one in parts]
    assert proposal.changed.now_ok == sum(a != b == "OK" for a, b in decided) + 1  # and the scratch
    assert proposal.changed.now_review == sum(a != b == "REVIEW" for a, b in decided)
    assert proposal.changed.now_ng == 0


def test_a_part_that_was_judged_unasked_is_no_fair_sample() -> None:
    """A reviewer who looks for dull parts among the OK ones moves no threshold."""
    plain = line()
    asked = [replace(one, label="good") if not one.selected and one.score < 0.5 else one for one in plain]
    assert sum(one.label == "good" for one in asked) > 200 + sum(one.label == "good" for one in plain)
    assert proposed(asked, OLD, RATES).calibration == proposed(plain, OLD, RATES).calibration


def test_without_spot_checks_it_is_refused_and_says_which_share_helps() -> None:
    refused = refusal(line(share=0.0))
    assert "no part that became OK had a chance" in refused.reason
    assert "spot_check_share, to 0.02" in refused.reason


def test_parts_that_wait_for_review_are_counted_and_refused() -> None:
    parts = line()
    waiting = [one for one in parts if one.selected][:7]
    held = [replace(one, label=None) if one in waiting else one for one in parts]
    refused = refusal(held)
    assert refused.reason.startswith("7 parts of the window")
    assert refused.until == waiting[0].at
    assert f"until={iso(waiting[0].at)}" in refused.reason


def test_a_part_that_waits_and_has_no_picture_tells_where_a_window_can_begin() -> None:
    parts = line()
    lost = next(one for one in parts if one.selected)
    after = next(one for one in parts if one.at > lost.at)
    refused = refusal([replace(one, label=None, picture=False) if one is lost else one for one in parts])
    assert "no picture any more" in refused.reason
    assert f"since={iso(after.at)}" in refused.reason


def test_scores_that_rise_within_the_window_are_refused_with_where_it_can_begin() -> None:
    before, after = line(400, shift=0.0), line(900, seed=3)
    moved = [replace(one, verdict_id=5000 + one.verdict_id, at=one.at + 400) for one in after]
    refused = refusal([*before, *moved])
    assert "of two kinds" in refused.reason
    assert "score higher" in refused.reason
    since = refused.since
    assert since is not None
    assert since == pytest.approx(moved[0].at, abs=40)
    assert proposed([one for one in [*before, *moved] if one.at >= since], OLD, RATES).counts.inspected > 800


def test_too_few_parts_are_refused_with_how_many_are_needed() -> None:
    refused = refusal(line(60))
    assert "no rate under" in refused.reason
    assert "99 are needed" in refused.reason


def test_few_spot_checks_tell_badly_what_share_of_parts_lies_above_and_are_refused() -> None:
    """Five or so stand for the parts below the old thresholds: a promise on average, and by luck for one window."""
    refused = refusal(line(300, share=0.02, seed=1))
    assert re.search(r"only as well as \d+ parts drawn at random would", refused.reason)
    assert "raise spot_check_share" in refused.reason


def test_a_window_without_parts_or_without_good_ones_is_refused() -> None:
    assert "has judged no part" in refusal([]).reason
    random = np.random.default_rng(1)
    defects = [
        part(number, score, defect="scratch") for number, score in enumerate(random.uniform(1.2, 2, 30).tolist())
    ]
    assert "none that was chosen for review is confirmed good" in refusal(defects).reason


def test_pictures_of_parts_taken_again_are_refused_unless_their_ids_tell_them_apart() -> None:
    """Each part stands under the camera for three pictures, whose scores differ by grain."""
    random = np.random.default_rng(2)
    whole = line(900)
    again = [
        part(3 * number + copy, one.score + float(random.normal(0, 0.002)), drawn=bool(random.random() < 0.1))
        for number, one in enumerate(whole)
        for copy in range(3)
    ]
    refused = refusal(again)
    assert "as where pictures of one part are taken again" in refused.reason
    named = [replace(one, part_id=f"part {one.verdict_id // 3}") for one in again]
    counts = proposed(named, OLD, RATES).counts
    assert (counts.inspected, counts.repeated) == (900, 1800)


def test_a_part_that_comes_again_counts_once_and_by_its_first_inspection() -> None:
    first = replace(part(1, 1.1), part_id="A7")
    again = replace(part(2, 0.5), part_id="A7")
    same_picture = replace(part(3, 1.1), part_id=None)
    other = part(4, 0.7)
    assert list(first_inspections([other, same_picture, again, first])) == [first, other]


def test_all_parts_under_one_part_id_are_one_part() -> None:
    assert len(first_inspections([replace(one, part_id="type 7") for one in line()])) == 1
    assert refusal([replace(one, part_id="type 7") for one in line()]).reason
