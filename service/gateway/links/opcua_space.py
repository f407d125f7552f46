"""The address space of one station's OPC UA server: its variables, methods and event, and their values."""

from __future__ import annotations

from typing import Any

from service.gateway.codes import Code
from service.gateway.libraries import need
from service.gateway.links.opcua_methods import Method
from service.gateway.links.opcua_nodes import NO_RESULT, NODES, RESULT_NODES, document
from service.gateway.outputs_view import Outputs

NAMESPACE = "urn:mkdserve:line"


class AddressSpace:
    """Made once for each server; `show` writes what has changed."""

    def __init__(self, server: Any, station: str) -> None:
        self._server = server
        self._name = station
        self._ua = need("asyncua", "opcua").ua
        self._space = 0
        self._variables: dict[str, Any] = {}
        self._written: dict[str, Any] = {}
        self._events: Any = None

    async def build(self, shown: Outputs, methods: tuple[Method, ...]) -> None:
        """All nodes, with the values of `shown` and no result."""
        ua, name = self._ua, self._name
        space = self._space = await self._server.register_namespace(NAMESPACE)
        station = await self._server.nodes.objects.add_object(ua.NodeId(name, space), ua.QualifiedName(name, space))
        result = await station.add_object(ua.NodeId(f"{name}.Result", space), ua.QualifiedName("Result", space))
        for node in NODES:
            await self._add(station, node.path, node.kind, node.value(shown))
        for row in RESULT_NODES:
            await self._add(result, f"Result.{row.name}", row.kind, row.value(NO_RESULT))
        await self._add(result, "Result.Document", "String", "")
        await self._add(result, "Result.ResultId", "UInt16", 0)
        for method in methods:
            await station.add_method(
                ua.NodeId(f"{name}.{method.name}", space),
                ua.QualifiedName(method.name, space),
                method.handler,
                [self._argument(*one) for one in method.given],
                [self._argument(*one) for one in method.returned],
            )
        self._events = await self._event_generator(station)

    async def show(self, shown: Outputs) -> None:
        """What the station shows now, but for its result."""
        for node in NODES:
            await self._set(node.path, node.kind, node.value(shown))

    async def show_result(self, shown: Outputs) -> None:
        """The result; ResultId is written last. `shown` has an answer."""
        answer, event = shown.answer, self._events.event
        assert answer is not None
        for row in RESULT_NODES:
            value = row.value(answer)
            await self._set(f"Result.{row.name}", row.kind, value)
            setattr(event, row.name, value)
        event.Document = document(self._name, answer)
        await self._set("Result.Document", "String", event.Document)
        await self._set("Result.ResultId", "UInt16", shown.result)

    async def tell(self, shown: Outputs) -> None:
        """The event of the result that was shown last."""
        answer, event = shown.answer, self._events.event
        assert answer is not None
        event.ResultId = shown.result
        event.Severity = 1 if answer.code is Code.JUDGED else 700
        await self._events.trigger(message=f"{answer.decision.value} {answer.part_id}")

    async def _set(self, path: str, kind: str, value: Any) -> None:
        if self._written.get(path) == value:
            return
        self._written[path] = value
        # The variant's type is named: a Python number alone would be taken for another one.
        # Written into the address space itself: the way by a session costs five times as much.
        data = self._ua.DataValue(self._ua.Variant(value, getattr(self._ua.VariantType, kind)))
        await self._server.write_attribute_value(self._variables[path].nodeid, data)

    async def _add(self, parent: Any, path: str, kind: str, value: Any) -> None:
        ua = self._ua
        self._variables[path] = await parent.add_variable(
            ua.NodeId(f"{self._name}.{path}", self._space),
            ua.QualifiedName(path.rpartition(".")[2], self._space),
            value,
            getattr(ua.VariantType, kind),
        )

    def _argument(self, name: str, kind: str) -> Any:
        argument = self._ua.Argument()
        argument.Name = name
        argument.DataType = self._ua.NodeId(getattr(self._ua.VariantType, kind).value)
        argument.ValueRank = -1
        return argument

    async def _event_generator(self, station: Any) -> Any:
        kinds = self._ua.VariantType
        fields = [(row.name, getattr(kinds, row.kind)) for row in RESULT_NODES]
        fields += [("ResultId", kinds.UInt16), ("Document", kinds.String)]
        kind = await self._server.create_custom_event_type(self._space, "ResultReadyEventType", properties=fields)
        return await self._server.get_event_generator(kind, emitting_node=station)
