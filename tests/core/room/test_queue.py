from __future__ import annotations

from headway.core.room.queue import Execution, Queue


def execution(name: str, cell: str = "c", batch: str | None = None) -> Execution:
    return Execution(name, cell, "1", "sha", "", batch_id=batch)


def test_an_execution_starts_only_when_its_admission_is_durable() -> None:
    queue = Queue()
    first = execution("a")
    queue.admit(first)

    assert queue.start_next() is None
    first.durable = True
    assert queue.start_next() is first


def test_one_runs_at_a_time_in_the_order_of_admission() -> None:
    queue = Queue()
    first, second = execution("a"), execution("b")
    for each in (first, second):
        each.durable = True
        queue.admit(each)

    assert queue.start_next() is first
    assert queue.start_next() is None
    queue.remove(first)
    assert queue.start_next() is second


def test_a_durable_execution_does_not_overtake_one_that_is_not() -> None:
    queue = Queue()
    first, second = execution("a"), execution("b")
    second.durable = True
    queue.admit(first)
    queue.admit(second)

    assert queue.start_next() is None


def test_only_a_waiting_single_execution_of_the_same_source_is_a_twin() -> None:
    queue = Queue()
    running, batched, single = execution("a"), execution("b", batch="x"), execution("c")
    for each in (running, batched, single):
        each.durable = True
        queue.admit(each)
    queue.start_next()

    assert queue.find_waiting("c", "sha", allow_stdin=False) is single
    assert queue.find_waiting("c", "other", allow_stdin=False) is None
    assert queue.find_waiting("d", "sha", allow_stdin=False) is None


def test_what_waits_of_a_batch_behind_one_of_it_is_taken_out_and_nothing_else() -> None:
    queue = Queue()
    names = [("a", "x"), ("b", "x"), ("c", "x"), ("d", None), ("e", "x"), ("f", "y"), ("g", "x")]
    line = [execution(name, batch=batch) for name, batch in names]
    for each in line:
        each.durable = True
        queue.admit(each)
    queue.start_next()

    assert [each.execution_id for each in queue.take_rest_of_batch(line[2])] == ["e", "g"]
    assert queue.ids() == ["a", "b", "c", "d", "f"]
    assert [each.execution_id for each in queue.take_rest_of_batch(line[0])] == ["b", "c"]
    assert queue.ids() == ["a", "d", "f"]
