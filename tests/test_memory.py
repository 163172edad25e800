"""How many instances are alive at one time is counted in memory."""

import asyncio

from conformance.stage.memory import MemoryBudget


def alive(total: int, *needs: int) -> list[set[int]]:
    """Return which instances were alive together, each time one came to life."""
    seen: list[set[int]] = []

    async def drive() -> None:
        budget, living = MemoryBudget(total), set[int]()

        async def instance(number: int, need: int) -> None:
            async with budget.take(need):
                living.add(number)
                seen.append(set(living))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                living.discard(number)

        async with asyncio.TaskGroup() as tasks:
            for number, need in enumerate(needs):
                tasks.create_task(instance(number, need))
        assert budget.free == total

    asyncio.run(drive())
    return seen


def test_light_ones_live_together_as_far_as_there_is_room():
    assert alive(300, 100, 100, 100, 100)[2] == {0, 1, 2}
    assert max(len(together) for together in alive(300, *[100] * 9)) == 3


def test_one_that_needs_more_than_all_lives_alone():
    together = alive(300, 100, 900, 100)
    assert {1} in together
    assert all(len(some) == 1 for some in together if 1 in some)


def test_a_heavy_one_is_not_overtaken_for_ever():
    assert alive(300, 200, 300, 100, 100)[1] == {1}


def test_the_lowest_rank_is_served_first():
    async def drive() -> list[int]:
        budget, served = MemoryBudget(100), list[int]()

        async def instance(rank: int) -> None:
            async with budget.take(100, rank):
                served.append(rank)

        async with asyncio.TaskGroup() as tasks, budget.take(100):
            for rank in (3, 1, 2):
                tasks.create_task(instance(rank))
            await asyncio.sleep(0)
        return served

    assert asyncio.run(asyncio.wait_for(drive(), 5)) == [1, 2, 3]


def test_what_a_cancelled_one_held_is_given_back():
    async def drive() -> None:
        budget = MemoryBudget(100)

        async def hold() -> None:
            async with budget.take(100):
                await asyncio.Event().wait()

        held, waiting = asyncio.create_task(hold()), asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        waiting.cancel()
        held.cancel()
        await asyncio.gather(held, waiting, return_exceptions=True)
        async with asyncio.timeout(5), budget.take(100):
            pass

    asyncio.run(drive())
