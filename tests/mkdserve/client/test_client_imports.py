"""What importing the client brings in, and that it says no less and no more than the service's own schemas."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mkdserve.client import (
    defect_group_calls,
    defect_groups,
    feedback,
    feedback_calls,
    products,
    recalibration_calls,
    recalibrations,
    statistics,
    training_calls,
    trainings,
    verdicts,
)
from service.rest import (
    defect_group_schemas,
    drift_schemas,
    feedback_schemas,
    product_schemas,
    recalibration_schemas,
    schemas,
    statistics_schemas,
    training_schemas,
)

ROOT = Path(__file__).parents[3]
HEAVY = ("torch", "torchvision", "fastapi", "starlette", "uvicorn", "sqlalchemy", "service", "trainer")


def test_the_client_runs_where_neither_torch_nor_the_web_framework_is_installed() -> None:
    code = (
        "import sys\n"
        f"for name in {HEAVY!r}: sys.modules[name] = None\n"
        "from mkdserve.client import AsyncClient, Client\n"
        "with Client('http://127.0.0.1:9') as client: print(type(client).__name__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "Client"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (verdicts.Verdict, schemas.Verdict),
        (verdicts.LocalizedVerdict, schemas.LocalizedVerdict),
        (verdicts.Reason, schemas.EntryErrorBody),
        (verdicts.ImageSize, schemas.ImageSize),
        (verdicts.Timing, schemas.Timing),
        (verdicts.ArtifactRef, schemas.ArtifactRef),
        (verdicts.MapScale, schemas.MapScaleSchema),
        (verdicts.Region, schemas.RegionSchema),
        (verdicts.Context, schemas.Context),
        (products.ProductSummary, product_schemas.ProductSummary),
        (products.ProductDetail, product_schemas.ProductDetail),
        (products.RatedThreshold, product_schemas.RatedThreshold),
        (products.Drift, drift_schemas.DriftReply),
        (products.DriftWatch, drift_schemas.DriftWatch),
        (feedback.StoredVerdict, feedback_schemas.StoredVerdict),
        (feedback.VerdictPage, feedback_schemas.VerdictPage),
        (feedback.ReviewQueue, feedback_schemas.ReviewQueue),
        (feedback.Review, feedback_schemas.ReviewRow),
        (feedback.Resemblance, feedback_schemas.Resemblance),
        (feedback.StoredLocalization, schemas.Localization),
        (statistics.Statistics, statistics_schemas.StatisticsReply),
        (statistics.DecisionCounts, statistics_schemas.DecisionCounts),
        (statistics.ReviewSummary, statistics_schemas.SummaryReply),
        (statistics.GoodParts, statistics_schemas.GoodParts),
        (statistics.DefectParts, statistics_schemas.DefectParts),
        (recalibrations.Recalibration, recalibration_schemas.RecalibrationReply),
        (recalibrations.PartCounts, recalibration_schemas.PartCounts),
        (recalibrations.HeldBackParts, recalibration_schemas.HeldBackParts),
        (recalibrations.WhatIf, recalibration_schemas.WhatIfReply),
        (recalibrations.ChangedVerdict, recalibration_schemas.ChangedVerdict),
        (defect_groups.DefectGroups, defect_group_schemas.DefectGroupList),
        (defect_groups.DefectGroup, defect_group_schemas.DefectGroupReply),
        (defect_groups.GroupMember, defect_group_schemas.GroupMember),
        (defect_groups.DefectGroupWork, defect_group_schemas.DefectGroupWork),
        (trainings.Training, training_schemas.Training),
        (trainings.TrainedArtifact, training_schemas.TrainedArtifact),
        (trainings.Progress, training_schemas.ProgressSchema),
        (trainings.RefusedPicture, training_schemas.RefusedPictureSchema),
        (products.Versions, schemas.Version),
        (products.Health, schemas.Health),
        (products.Readiness, schemas.Readiness),
    ],
)
def test_the_client_reads_every_member_that_the_service_sends(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    assert set(ours.model_fields) - {"error"} == set(theirs.model_fields)


@pytest.mark.parametrize(
    ("call", "theirs"),
    [
        (feedback_calls.verdicts, feedback_schemas.VerdictQuery),
        (feedback_calls.review_queue, feedback_schemas.QueueQuery),
        (feedback_calls.review_summary, statistics_schemas.SummaryQuery),
        (feedback_calls.statistics, statistics_schemas.StatisticsQuery),
        (feedback_calls.export, feedback_schemas.ExportQuery),
        (defect_group_calls.defect_groups, defect_group_schemas.DefectGroupQuery),
        (recalibration_calls.recalibrate, recalibration_schemas.RecalibrationBody),
        (recalibration_calls.what_if, recalibration_schemas.WhatIfQuery),
        (training_calls.start_training, training_schemas.TrainingQuery),
    ],
)
def test_the_client_can_say_whatever_the_service_understands(call: Callable[..., Any], theirs: type[BaseModel]) -> None:
    assert set(theirs.model_fields) <= set(inspect.signature(call).parameters)
