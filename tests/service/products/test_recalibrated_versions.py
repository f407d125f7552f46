"""A proposal becomes the product's next version: written whole, activated, rolled back; or nothing has changed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.artifact import Artifact, ArtifactError, load_artifact
from models.imaging.decode import ImageLimits
from models.imaging.input_statistics import STATISTICS, InputStatistics
from service.errors import ArtifactRefused, RecalibrationNotReady, RecalibrationStale
from service.feedback.access import FeedbackAccess
from service.feedback.recalibration.inputs import renewed
from service.feedback.recalibration.next_version import next_version
from service.feedback.recalibration.recalibrator import Recalibrator
from service.feedback.recalibration.record import Asked, Recalibration
from service.feedback.settings import FeedbackSettings
from service.feedback.store import FeedbackStore
from service.metrics import Metrics
from service.products.registry import Registry

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock

LIMITS = ImageLimits(1 << 20, 1 << 20, frozenset({"PNG"}))


@dataclass
class Teaching:
    """A registry of one product with a feedback store, whose parts have all been judged good."""

    registry: Registry
    recalibrator: Recalibrator
    store: FeedbackStore
    steps: list[Any] = field(default_factory=list)

    async def proposed(self, asked: Asked | None = None) -> Recalibration:
        """A proposal, once it does not run any more."""
        begun = await self.recalibrator.propose("screw", asked or Asked(max_false_reject=0.02), "ann")
        for _ in range(1000):
            found = await self.recalibrator.one("screw", begun.id)
            if found.state != "running":
                return found
            await asyncio.sleep(0.01)
        raise AssertionError("it runs on")

    def judged(self, artifact_hash: str, count: int = 600, picture: bytes = b"") -> None:
        """Good parts that score up to 12, where the calibration ends at 8."""
        random = np.random.default_rng(0)
        rows = [
            self._row(number, float(score), artifact_hash) for number, score in enumerate(random.uniform(0, 12, count))
        ]
        for row in rows:
            if row["spot_check"]:
                row.update(self.store.keep_picture(picture, float(str(row["at"]))))
        self.store.add(rows)
        with self.store.open().writing() as connection:
            connection.exec_driver_sql("UPDATE verdicts SET judged = 'good' WHERE spot_check = 1 OR decision <> 'OK'")

    @staticmethod
    def _row(number: int, score: float, artifact_hash: str) -> dict[str, object]:
        return {
            "at": 1_800_000_000.0 + number,
            "request_id": f"r{number}",
            "image_index": 0,
            "product": "screw",
            "version": "1",
            "method": "mkd",
            "hash": artifact_hash,
            "score": score,
            "p_value": 0.5,
            "threshold": 8.0,
            "review_threshold": 8.0,
            "decision": "NG" if score > 8 else "OK",
            "width": 40,
            "height": 40,
            "spot_check": number % 5 == 0,
            "spot_check_share": 0.2,
        }


@asynccontextmanager
async def teaching(stock: Stock, within: str = "artifacts", **kwargs: Any) -> AsyncIterator[Teaching]:
    metrics = Metrics()
    store = FeedbackStore(FeedbackSettings(folder=stock.root / "feedback"), metrics)
    access = FeedbackAccess(store, metrics)
    async with stock.opened(within=within, **kwargs) as registry:
        found = Teaching(registry, Recalibrator(access, registry, LIMITS), store)
        found.recalibrator = Recalibrator(access, registry, LIMITS, found.steps.append)
        store.open()
        try:
            yield found
        finally:
            await found.recalibrator.stop()
            access.close()
            store.close()


def test_applied_it_is_the_next_version_with_the_same_head_and_a_record(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            assert proposal.state == "ready", proposal.reason
            done = await it.recalibrator.apply("screw", proposal.id, "bob")
            assert (done.state, done.to_version, done.applied_by) == ("applied", "2", "bob")
            status = it.registry.status("screw")
            assert (status.version, status.pinned, status.previous) == ("2", "2", "1")
            assert (await it.registry.rollback("screw")).version == "1"
            assert [step["action"] for step in it.steps] == ["proposed", "ready", "applied"]
            assert it.steps[-1]["to"] == {"version": "2", "hash": new_artifact(stock).sha256}

    asyncio.run(check())
    new = new_artifact(stock)
    assert new.calibration.threshold(0.02).value == pytest.approx(11.7, abs=0.3)
    assert new.calibration.map_scale == old.calibration.map_scale
    assert new.manifest.golden == old.manifest.golden
    assert (new.path / "head.safetensors").read_bytes() == (old.path / "head.safetensors").read_bytes()
    record = new.manifest.recalibration
    assert record is not None
    assert record.feedback is not None
    assert (record.from_version, record.from_sha256) == ("1", old.sha256)
    assert (record.feedback.proposed_by, record.feedback.applied_by) == ("ann", "bob")
    assert record.images + record.feedback.held_back == record.feedback.confirmed
    assert record.feedback.since == "2027-01-15T08:00:00.000Z"


def new_artifact(stock: Stock) -> Artifact:
    return load_artifact(stock.root / "artifacts" / "screw" / "2")


def test_it_is_applied_once(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            both = [it.recalibrator.apply("screw", proposal.id, "bob") for _ in range(2)]
            done = await asyncio.gather(*both, return_exceptions=True)
            assert sorted(type(one).__name__ for one in done) == ["Recalibration", "RecalibrationNotReady"]
            with pytest.raises(RecalibrationNotReady):
                await it.recalibrator.apply("screw", proposal.id, "bob")

    asyncio.run(check())
    assert sorted(path.name for path in (stock.root / "artifacts" / "screw").iterdir()) == ["1", "2"]


def test_it_is_stale_where_another_version_is_active_or_a_judgement_was_withdrawn(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            with it.store.open().writing() as connection:
                assert proposal.content is not None
                some = proposal.content["verdicts"][0]
                connection.exec_driver_sql(f"UPDATE verdicts SET judged = 'disagreed' WHERE id = {some}")
            with pytest.raises(RecalibrationStale, match="1 of the parts that it rests on is not called good"):
                await it.recalibrator.apply("screw", proposal.id, "bob")
            stock.write("artifacts/screw/7", seed=7)
            await it.registry.look()
            with pytest.raises(RecalibrationStale, match="proposed for version 1, and 7 is active"):
                await it.recalibrator.apply("screw", proposal.id, "bob")

    asyncio.run(check())


def test_a_version_that_no_device_takes_leaves_everything_as_it_was(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    def proves(artifact: Artifact) -> None:
        if artifact.manifest.version == "2":
            raise ArtifactError(artifact.path, "golden scores differ")

    async def check() -> None:
        async with teaching(stock, validate=proves) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            with pytest.raises(ArtifactRefused, match="golden scores differ"):
                await it.recalibrator.apply("screw", proposal.id, "bob")
            after = await it.recalibrator.one("screw", proposal.id)
            assert (after.state, after.to_version) == ("ready", None)
            assert after.reason is not None
            assert "golden scores differ" in after.reason
            assert it.steps[-1]["action"] == "not applied"
            assert it.registry.status("screw").version == "1"

    asyncio.run(check())
    assert [path.name for path in (stock.root / "artifacts" / "screw").iterdir()] == ["1"]


def test_an_artifact_whose_files_have_changed_since_is_not_recalibrated(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            shutil.rmtree(old.path)
            stock.write("artifacts/screw/1", seed=5)
            with pytest.raises(ArtifactRefused, match="have changed since the proposal"):
                await it.recalibrator.apply("screw", proposal.id, "bob")

    asyncio.run(check())


def test_a_product_in_its_own_folder_gets_versions_that_can_be_rolled_back(stock: Stock) -> None:
    old = stock.write("artifacts/screw")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            assert proposal.state == "ready", proposal.reason
            async with it.registry.lease("screw") as leased:
                done = await it.recalibrator.apply("screw", proposal.id, "bob")
                assert leased.head.tensors().keys() == old.head.tensors().keys()
            assert done.to_version == "2"
            assert it.registry.status("screw").versions == ("1", "2")
            back = await it.registry.rollback("screw")
            assert (back.version, back.hash) == ("1", old.sha256)
        async with stock.opened(within="artifacts") as registry:
            assert registry.status("screw").versions == ("1", "2")

    asyncio.run(check())


def test_a_folder_that_cannot_be_exchanged_is_said_and_left(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    old = stock.write("artifacts/screw")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            proposal = await it.proposed()
            monkeypatch.setattr("service.feedback.recalibration.writing.shutil.copytree", full)
            with pytest.raises(ArtifactRefused, match="screw/1 could not be made: No space left on device"):
                await it.recalibrator.apply("screw", proposal.id, "bob")
            assert (await it.recalibrator.one("screw", proposal.id)).state == "ready"

    asyncio.run(check())
    assert load_artifact(stock.root / "artifacts" / "screw").sha256 == old.sha256


def test_a_service_that_stops_gives_up_what_runs_and_says_so(stock: Stock) -> None:
    old = stock.write("artifacts/screw/1")

    async def check() -> None:
        async with teaching(stock) as it:
            it.judged(old.sha256)
            begun = await it.recalibrator.propose("screw", Asked(), "ann")
            await it.recalibrator.stop()
            found = await it.recalibrator.one("screw", begun.id)
            assert (found.state, found.reason) == ("failed", "the service was stopped; propose anew")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("taken", "following"),
    [
        ([], "1"),
        (["1", "2"], "3"),
        (["v9", "v10"], "v11"),
        (["1.9", "1.10"], "1.11"),
        (["20261128-090059"], "20261128-090060"),
        (["first"], "first-1"),
        (["2", "3", "a"], "a-1"),
    ],
)
def test_the_next_version_is_counted_as_the_highest(taken: list[str], following: str) -> None:
    assert next_version(taken) == following


def test_input_statistics_follow_the_spot_checks_and_known_sizes_stay_known() -> None:
    old = InputStatistics(values=dict.fromkeys(STATISTICS, (0.5, 1.0, 3.0)))
    rows = [np.full(len(STATISTICS), 2.0 + number / 100) for number in range(12)]
    new = renewed(old, rows)
    assert new is not None
    assert new.values["brightness"][0] == 2.0
    assert (new.values["aspect"][0], new.values["aspect"][-1]) == (0.5, 3.0)
    assert renewed(old, rows[:9]) is old
    assert renewed(None, rows) is None
