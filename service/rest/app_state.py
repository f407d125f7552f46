"""What the lifespan hands to every request, each part under a name of its own."""

from __future__ import annotations

from typing import Protocol, TypedDict

from service.drift.observer import DriftObserver
from service.feedback.access import FeedbackAccess
from service.feedback.defect_groups.finder import DefectFinder
from service.feedback.recalibration.recalibrator import Recalibrator
from service.inspection.inspector import Inspector
from service.rest.event_hub import EventHub
from service.rest.request_checks import RequestChecks
from service.trainings.trainings import Trainings


class Operation(Protocol):
    """How the process is doing, for probes and scrapers."""

    def live(self) -> bool:
        """Whether the process can still help itself."""
        ...

    def ready(self) -> tuple[bool, str | None]:
        """Whether requests will be judged, and why not."""
        ...

    def backends(self) -> dict[str, dict[str, str]]:
        """By device, each source in use with the backend that runs it and why."""
        ...

    async def metrics_page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...


class AppState(TypedDict):
    """Found in `request.state`; `service.rest.dependencies` gives routes what they ask for of it."""

    checks: RequestChecks
    inspector: Inspector
    drift: DriftObserver | None  # None where drift is not watched
    operation: Operation
    trainings: Trainings | None  # None where trainings over HTTP are switched off
    feedback: FeedbackAccess | None  # None where there is no feedback store
    events: EventHub | None  # likewise
    recalibrator: Recalibrator | None  # likewise
    defects: DefectFinder | None  # likewise
