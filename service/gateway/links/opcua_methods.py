"""The methods of a station's object, after OPC 40100-1: start a job, select its recipe, abort it, take its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from service.gateway.events import TriggerRequest
from service.gateway.libraries import need
from service.gateway.runner import StationRunner

DONE, BUSY, UNKNOWN, STRAY = 0, -1, -2, -3  # what methods return as Error


class Method(NamedTuple):
    """A method: its name, its handler, and the names and VariantTypes of what is given and returned."""

    name: str
    handler: Callable[..., Awaitable[list[Any]]]
    given: tuple[tuple[str, str], ...]
    returned: tuple[tuple[str, str], ...]


class StationMethods:
    """Handlers get the parent's node id and Variants, and return Variants."""

    def __init__(self, runner: StationRunner) -> None:
        self._runner = runner
        self._ua = need("asyncua", "opcua").ua
        self._recipe = ""

    def table(self) -> tuple[Method, ...]:
        """All of them."""
        job, error = ("JobId", "String"), ("Error", "Int32")
        return (
            Method("StartSingleJob", self._start_job, (("PartId", "String"), ("RecipeId", "String")), (job, error)),
            Method("SelectRecipe", self._select_recipe, (("RecipeId", "String"),), (error,)),
            Method("Abort", self._abort, (), (error,)),
            Method("AcknowledgeResult", self._acknowledge, (("ResultId", "UInt16"),), (error,)),
        )

    async def _start_job(self, _: Any, part: Any, recipe: Any) -> list[Any]:
        part_id, recipe_id = str(part.Value or "")[:128], str(recipe.Value or "") or self._recipe
        was_busy = self._runner.busy()
        job = self._runner.start_job(TriggerRequest(0, recipe_id, part_id))
        return [self._ua.Variant(str(job), self._ua.VariantType.String), self._number(BUSY if was_busy else DONE)]

    async def _select_recipe(self, _: Any, recipe: Any) -> list[Any]:
        if self._runner.busy():
            return [self._number(BUSY)]
        if not self._runner.has_recipe(str(recipe.Value)):
            return [self._number(UNKNOWN)]
        self._recipe = str(recipe.Value)
        return [self._number(DONE)]

    async def _abort(self, _: Any) -> list[Any]:
        self._runner.abort()
        return [self._number(DONE)]

    async def _acknowledge(self, _: Any, result: Any) -> list[Any]:
        shown = self._runner.outputs()
        right = shown.result_valid and shown.result == result.Value
        self._runner.acknowledge(int(result.Value or 0))
        return [self._number(DONE if right else STRAY)]

    def _number(self, value: int) -> Any:
        return self._ua.Variant(value, self._ua.VariantType.Int32)
