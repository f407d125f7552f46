"""A result that several ask for is made once; a failure is nobody's for good."""

from __future__ import annotations

import asyncio

from service.feedback.shared_results import SharedResults


class Maker:
    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self) -> int:
        self.made += 1
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        return self.made


def test_those_who_ask_together_get_one_result_and_those_after_them_the_same() -> None:
    async def run() -> None:
        results, make = SharedResults[int](8), Maker()
        asking = [asyncio.ensure_future(results.get(1, make)) for _ in range(10)]
        await asyncio.sleep(0)
        asking[0].cancel()  # the page is closed
        make.go.set()
        assert await asyncio.gather(*asking[1:]) == [1] * 9
        assert await results.get(1, make) == 1
        assert await results.get(2, make) == 2

    asyncio.run(run())


def test_a_failure_is_told_to_all_who_wait_and_tried_anew_by_the_next() -> None:
    async def run() -> None:
        results, make = SharedResults[int](8), Maker()
        make.go.set()
        make.fault = RuntimeError("full")
        told = await asyncio.gather(*(results.get(1, make) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in told] == ["full"] * 3
        make.fault = None
        assert await results.get(1, make) == 2

    asyncio.run(run())


def test_the_oldest_make_room() -> None:
    async def run() -> None:
        results, make = SharedResults[int](2), Maker()
        make.go.set()
        for key in (1, 2, 1, 3):
            await results.get(key, make)
        assert make.made == 3
        await results.get(1, make)
        assert make.made == 3
        await results.get(2, make)
        assert make.made == 4

    asyncio.run(run())
