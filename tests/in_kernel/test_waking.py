"""What ends a wait that a signal came too early for.

That moment is made at will: a signal that another thread takes is noted as well, and cuts nothing
short in the main thread.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from headway.in_kernel import waking

ENOUGH_S = 30.0
Control = Callable[[Callable[[], object]], object]


def kernel_of_the_test() -> SimpleNamespace:
    loop = SimpleNamespace(add_callback=lambda _: None)
    return SimpleNamespace(control_handlers={}, io_loop=loop)


@pytest.fixture
def kernel() -> Iterator[SimpleNamespace]:
    before = signal.getsignal(signal.SIGURG)
    yield kernel_of_the_test()
    signal.signal(signal.SIGURG, before)


@pytest.fixture
def control() -> Iterator[Control]:
    """Has something done in the thread of the control channel."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop.call_soon_threadsafe
    loop.call_soon_threadsafe(loop.stop)
    thread.join(ENOUGH_S)
    assert not thread.is_alive()
    loop.close()


def test_a_wait_that_the_signal_came_too_early_for_is_ended(
    kernel: SimpleNamespace, control: Control
) -> None:
    waking.prepare(kernel)

    def interrupt_and_wake() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        kernel.control_handlers[waking.REQUEST](None, None, None)

    def wait() -> None:
        control(interrupt_and_wake)
        time.sleep(ENOUGH_S)

    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        wait()
    assert time.monotonic() - began_s < ENOUGH_S


def test_who_has_been_woken_is_left_in_peace(
    kernel: SimpleNamespace, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    waking.prepare(kernel)
    sent: list[int] = []
    done = threading.Event()

    def send(thread: int, number: int) -> None:
        sent.append(number)
        signal.getsignal(number)(number, None)  # type: ignore[operator,misc]
        asyncio.get_running_loop().call_later(4 * waking.FIRST_GAP_S, done.set)

    monkeypatch.setattr(signal, "pthread_kill", send)
    control(lambda: kernel.control_handlers[waking.REQUEST](None, None, None))
    assert done.wait(ENOUGH_S)
    assert sent == [signal.SIGURG]


def test_who_does_not_wake_is_woken_again_and_at_last_no_more(
    kernel: SimpleNamespace, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "FIRST_GAP_S", 1e-6)
    sent: list[int] = []
    done = threading.Event()

    def send(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) >= waking.TRIES:
            asyncio.get_running_loop().call_later(0.1, done.set)

    waking.prepare(kernel)
    monkeypatch.setattr(signal, "pthread_kill", send)
    control(lambda: kernel.control_handlers[waking.REQUEST](None, None, None))
    assert done.wait(ENOUGH_S)
    assert len(sent) == waking.TRIES


def test_a_signal_that_somebody_else_uses_is_theirs(
    kernel: SimpleNamespace, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    done = threading.Event()
    monkeypatch.setattr(signal, "pthread_kill", lambda _, number: sent.append(number))

    def theirs(*_: object) -> None: ...

    waking.prepare(kernel)
    signal.signal(signal.SIGURG, theirs)
    control(lambda: kernel.control_handlers[waking.REQUEST](None, None, None))
    control(done.set)
    assert done.wait(ENOUGH_S)
    assert sent == []

    later = kernel_of_the_test()
    waking.prepare(later)
    assert signal.getsignal(signal.SIGURG) is theirs
    assert later.control_handlers == {}
