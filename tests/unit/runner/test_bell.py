"""Waiting for another thread, in a thread and in coroutines of any loop."""

from __future__ import annotations

import asyncio
import threading

from metaflow.runner.bell import Bell


def test_a_thread_waits_until_it_holds() -> None:
    bell, seen = Bell(), threading.Event()
    waiting = threading.Thread(target=lambda: bell.wait(seen.is_set, 20))
    waiting.start()
    bell.ring()
    assert waiting.is_alive()
    seen.set()
    bell.ring()
    waiting.join(20)
    assert not waiting.is_alive()
    assert not bell.wait(lambda: False, 0)


def test_coroutines_of_two_loops_hear_it() -> None:
    bell, seen, heard = Bell(), threading.Event(), []
    both = threading.Barrier(3)

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(both.wait)
        await bell.heard(seen.is_set)
        heard.append(threading.current_thread())

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    both.wait(20)
    seen.set()
    bell.ring()
    for thread in threads:
        thread.join(20)
    assert set(heard) == set(threads)


def test_whoever_was_cancelled_or_is_gone_is_in_nobodys_way() -> None:
    bell = Bell()

    async def give_up() -> None:
        task = asyncio.ensure_future(bell.heard(lambda: False))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        bell.ring()

    asyncio.run(give_up())

    async def leave() -> None:
        bell._coroutines.append((asyncio.get_running_loop(), asyncio.get_running_loop().create_future()))

    asyncio.run(leave())
    bell.ring()
