"""Uninformed Students and Focus Your Distribution on stand-in activations: what is learnt, judged and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.heads.base import GoodParts, Head, HeadOutput, Trainable
from models.heads.fyd.coarse import PictureAlignment
from models.heads.fyd.head import FydHead
from models.heads.fyd.pose import Pose, inverse, joined, out_of_view, turned
from models.heads.parts.loop_settings import LoopSettings
from models.heads.registry import config_of, method_of
from models.heads.students.config import StudentsConfig
from models.heads.students.head import StudentsHead, doubts_of
from models.heads.students.method import StudentsTrainable
from models.heads.students.network import Students
from models.heads.students.teacher import teacher_of
from models.sources.registry import SOURCES
from tests.models.heads.conftest import SIZE, TAPS, VGG16, MadeParts, MadeRun, activations_of, pictures, with_spot
from trainer.loop import GradientLoop

CASES: dict[str, dict[str, object]] = {
    "students": {"method": "students", "steps": 20, "width": 4},
    "fyd": {"method": "fyd", "steps": 15, "image_steps": 15, "dimensions": 30, "align_image": True},
    "fyd, nothing aligned": {
        "method": "fyd",
        "steps": 15,
        "dimensions": 30,
        "align_image": False,
        "align_features": False,
    },
}


class SteppedRun(MadeRun):
    """A run with the real gradient loop; remembers on which images."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.trained_on: list[GoodParts] = []
        self.fingerprints: list[str] = []

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        self.trained_on.append(parts)
        self.fingerprints.append(trainable.fingerprint)
        checkpoint = self._folder / f"{len(self.trained_on)}.safetensors"
        GradientLoop(trainable, parts, settings, seed=0, checkpoint=checkpoint, fingerprint="").run()


Fit = Callable[[str], Head]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """The head of a case, fitted once."""
    found: dict[str, Head] = {}

    def fit(case: str) -> Head:
        if case not in found:
            found[case] = fit_anew(CASES[case], MadeParts(pictures(24)), SteppedRun(tmp_path_factory.mktemp("run")))
        return found[case]

    return fit


def fit_anew(values: dict[str, object], parts: MadeParts, run: MadeRun) -> Head:
    config = config_of(values)
    return method_of(config.method).fit(config, parts, run).eval()


def judge(head: Head, images: Tensor, wants: list[bool]) -> HeadOutput:
    """With the further pass, where the head asks for one."""
    activations = activations_of(images)
    further = activations_of(head.changed(images, activations)) if head.needs.further_pass else None
    return head.judge(images, activations, wants, further)


@pytest.mark.parametrize("case", CASES)
def test_a_spot_scores_above_good_parts_and_lights_the_map_where_it_is(case: str, fitted: Fit) -> None:
    head = fitted(case)
    quiet = judge(head, pictures(8, seed=1), [False] * 8)
    found = judge(head, with_spot(pictures(4, seed=2)), [True] * 4)
    assert quiet.maps.shape == (0, SIZE, SIZE)
    assert found.scores.min() > quiet.scores.max()
    for one in found.maps:
        y, x = divmod(int(one.argmax()), SIZE)
        assert (2 <= y < 24, 18 <= x < 46) == (True, True)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_equals_singles_and_a_loaded_head_the_fitted_one(case: str, fitted: Fit) -> None:
    head = fitted(case)
    images = torch.cat((pictures(3, seed=1), with_spot(pictures(2, seed=2))))
    wants = [True, False, True, False, True]
    together = judge(head, images, wants)
    singles = [judge(head, one[None], [want]) for one, want in zip(images, wants, strict=True)]
    torch.testing.assert_close(together.scores, torch.cat([one.scores for one in singles]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(together.maps, torch.cat([one.maps for one in singles]), rtol=2e-3, atol=2e-3)
    again = method_of(head.method).load(head.record.model_dump(mode="json"), head.tensors()).eval()
    assert again.needs == head.needs
    same = judge(again, images, wants)
    assert torch.equal(same.scores, together.scores)
    assert torch.equal(same.maps, together.maps)
    assert again.size_bytes == head.size_bytes > 0


@pytest.mark.parametrize("case", CASES)
def test_tensors_that_are_missing_strange_or_do_not_fit_are_refused(case: str, fitted: Fit) -> None:
    head = fitted(case)
    load, record, tensors = method_of(head.method).load, head.record.model_dump(mode="json"), head.tensors()
    for name in (min(tensors), max(tensors)):
        with pytest.raises(ValueError, match="nothing else"):
            load(record, {key: value for key, value in tensors.items() if key != name})
        with pytest.raises(ValueError, match="fit"):
            load(record, {**tensors, name: torch.zeros(3, 7)})
    with pytest.raises(ValueError, match="nothing else"):
        load(record, {**tensors, "bank": torch.zeros(3)})


def test_the_same_seed_gives_the_same_head(fitted: Fit, tmp_path: Path) -> None:
    for case in ("students", "fyd"):
        again = fit_anew(CASES[case], MadeParts(pictures(24)), SteppedRun(tmp_path)).tensors()
        first = fitted(case).tensors()
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_default_taps_and_networks_fit_every_source() -> None:
    for source in SOURCES.values():
        for name in ("students", "fyd"):
            taps = method_of(name).needs(config_of({"method": name}), source).taps
            assert set(taps) <= set(source.taps)
            answers = Students(taps, source, 2, 4)(torch.rand(1, 3, 64, 64))
            for tap, answer in zip(taps, answers, strict=True):
                side = 64 // source.taps[tap].stride
                assert answer.shape == (1, 2, source.taps[tap].channels, side, side)


def test_no_student_learns_of_another_and_none_starts_as_another() -> None:
    images = pictures(2)
    config = config_of({"method": "students", "width": 4})
    assert isinstance(config, StudentsConfig)
    students = Students(TAPS, VGG16, 3, 4)
    trainable = StudentsTrainable(config, students, teacher_of(TAPS, MadeParts(images).batches()))
    trainable.loss(*MadeParts(images).batch([0, 1])).backward()  # type: ignore[no-untyped-call]
    before = [parameter.grad for parameter in students.members[0].parameters()]
    for parameter in students.members[1].parameters():
        torch.nn.init.constant_(parameter, 0.3)
    for parameter in students.parameters():
        parameter.grad = None
    trainable.loss(*MadeParts(images).batch([0, 1])).backward()  # type: ignore[no-untyped-call]
    for first, parameter in zip(before, students.members[0].parameters(), strict=True):
        assert first is not None
        assert parameter.grad is not None
        assert torch.equal(first, parameter.grad)
    starts = [next(student.parameters()) for student in (students.members[0], students.members[2])]
    assert not torch.equal(*starts)


def test_errors_are_of_the_mean_and_variances_between_students() -> None:
    taught = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    answers = torch.tensor([[0.0, 2.0], [4.0, 2.0]]).view(1, 2, 2, 1, 1)
    (doubts,) = doubts_of([taught], [answers])
    assert float(doubts.error) == pytest.approx(0.5)  # the mean is (2, 2)
    assert float(doubts.variance) == pytest.approx(2.0)


def test_the_teacher_has_mean_nought_and_deviation_one_and_no_silent_channel_decides() -> None:
    taps = {"pool4": torch.randn(6, 4, 8, 8) * torch.tensor([1.0, 9.0, 5.0, 0.0]).view(4, 1, 1) + 3}
    teacher = teacher_of(("pool4",), [(torch.zeros(6, 3, 8, 8), taps)])
    (found,) = teacher(taps)
    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std(dim=(0, 2, 3))[:3], torch.ones(3), rtol=0.01, atol=0)
    assert teacher.tensors()["pool4.spread"][3] > 0.3


def test_errors_are_standardised_on_images_that_no_student_has_learnt(tmp_path: Path) -> None:
    run, parts = SteppedRun(tmp_path), MadeParts(pictures(20))
    head = fit_anew({**CASES["students"], "steps": 1, "aside": 0.25}, parts, run)
    (learnt,) = run.trained_on
    assert isinstance(learnt, MadeParts)
    assert learnt.count == 15
    aside = torch.stack([one for one in parts.images if not (learnt.images == one).all(dim=(1, 2, 3)).any()])
    assert len(aside) == 5
    assert isinstance(head, StudentsHead)
    with torch.no_grad():
        found = doubts_of(head.teacher(activations_of(aside)), head.students(aside))
    for usual, doubts in zip(head.record.yardsticks, found, strict=True):
        assert usual.error_mean == pytest.approx(float(doubts.error.mean()), rel=1e-4)
        assert usual.variance_spread == pytest.approx(float(doubts.variance.std(correction=0)), rel=1e-3)
    few = SteppedRun(tmp_path)
    fit_anew({**CASES["students"], "steps": 1}, MadeParts(pictures(6)), few)
    assert few.said[0].startswith("beware: too few images")


def test_a_pose_and_its_inverse_lead_back() -> None:
    angle = torch.tensor([0.3, -2.0])
    pose = torch.stack(
        (angle.cos(), -angle.sin(), torch.tensor([0.2, 0.1]), angle.sin(), angle.cos(), torch.tensor([-0.1, 0.4])), 1
    ).view(2, 2, 3)
    same = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, 2, 3)
    for found in (joined(pose, inverse(pose)), joined(inverse(pose), pose)):
        torch.testing.assert_close(found, same, rtol=0, atol=1e-6)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    blob = torch.exp(-8 * ((x - 0.1) ** 2 + (y + 0.2) ** 2)).expand(2, 1, 48, 48)
    both = turned(turned(blob, pose), inverse(pose))
    assert float((both - blob)[:, :, 12:36, 12:36].abs().max()) < 0.05
    at_once = turned(blob, joined(pose, pose.flip(0)))
    assert float((turned(turned(blob, pose), pose.flip(0)) - at_once)[:, :, 16:32, 16:32].abs().max()) < 0.05


def test_the_map_comes_back_in_the_cameras_pose(tmp_path: Path) -> None:
    """The head is fitted to parts that are turned by a quarter, and brings each picture there itself."""
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    parts = MadeParts(turned(pictures(24), quarter.expand(24, 2, 3)))
    plain = fit_anew(CASES["fyd, nothing aligned"], parts, SteppedRun(tmp_path))
    assert isinstance(plain, FydHead)
    pose = Pose(VGG16.taps["pool4"].channels)
    last = pose.answer[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    gaussians = (plain.projection, plain.mean, plain.factor)
    head = FydHead(plain.record.model_copy(update={"align_image": True}), pose, plain.fine, gaussians).eval()
    bad = with_spot(pictures(3, seed=2))
    torch.testing.assert_close(head.changed(bad, activations_of(bad)), turned(bad, quarter.expand(3, 2, 3)))
    for one in judge(head, bad, [True] * 3).maps:
        y, x = divmod(int(one.argmax()), SIZE)
        assert (2 <= y < 24, 18 <= x < 46) == (True, True)
    with pytest.raises(ValueError, match="turned images are needed"):
        head.judge(bad, activations_of(bad), [False] * 3)


def test_what_is_turned_out_of_view_is_counted() -> None:
    still, aside = torch.eye(2, 3)[None], torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    shares = out_of_view(torch.cat((still, aside)), 8)
    assert shares.tolist() == [0.0, 0.25]  # a shift by half of half the side


def test_fyd_says_how_much_of_a_picture_it_turns_out_of_view(tmp_path: Path) -> None:
    run = SteppedRun(tmp_path)
    head = fit_anew(CASES["fyd"], MadeParts(pictures(24)), run)
    assert isinstance(head, FydHead)
    noted = run.notes["out_of_view_most"]
    assert isinstance(noted, float)
    assert any("out of view" in words for words in run.said) == (noted > 0.01)
    plain = fit_anew(CASES["fyd, nothing aligned"], MadeParts(pictures(24)), run)
    assert isinstance(plain, FydHead)
    assert plain.out_of_view(activations_of(pictures(2))).tolist() == [0, 0]


def test_shifted_parts_are_brought_on_top_of_each_other(tmp_path: Path) -> None:
    shifted = torch.cat([pictures(8, seed=shift, shift=shift) for shift in (-8, -4, 0, 4, 8)])
    alignment = PictureAlignment("pool4", VGG16.taps["pool4"].channels, 16.0)
    assert alignment.left(MadeParts(shifted)) == pytest.approx(1.0, abs=0.01)  # nothing is turned before training
    SteppedRun(tmp_path).train(alignment, MadeParts(shifted), LoopSettings(steps=80, average_decay=0.9))
    assert alignment.left(MadeParts(shifted)) < 0.3


def test_fyd_says_where_no_common_pose_is_found_and_what_is_left(tmp_path: Path) -> None:
    run = SteppedRun(tmp_path)
    grain = MadeParts(torch.rand(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    fit_anew({**CASES["fyd"], "image_steps": 1, "steps": 1, "learning_rate": 1e-9}, grain, run)
    assert run.said[0].startswith("beware: no common pose was found: alignment leaves")
    assert run.notes["picture_difference_left"] > 0.9  # type: ignore[operator]


def test_the_fine_alignments_fingerprint_follows_the_pictures_alignment(tmp_path: Path) -> None:
    """A checkpoint of it must not be taken up for pictures that are aligned otherwise."""
    marks = []
    for image_steps in (1, 2):
        run = SteppedRun(tmp_path)
        fit_anew({**CASES["fyd"], "image_steps": image_steps, "steps": 1}, MadeParts(pictures(8)), run)
        marks.append(run.fingerprints)
    assert marks[0][0] == marks[1][0]
    assert marks[0][1] != marks[1][1]
