"""Large updates arrive exactly, or are refused with a status: never wrong, never forgotten."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.core.wire import codec
from headway.core.wire.fragments import (
    FRAGMENT_BYTES,
    FRAGMENT_TIMEOUT_S,
    LONGEST_BATCH_S,
    MAX_FRAGMENTS,
    MAX_UPDATE_BYTES,
    Assembled,
    Assembler,
    AssemblyLimits,
    Refused,
    split,
)
from headway.core.wire.messages import (
    MAX_MESSAGE_BYTES,
    Fragment,
    FragmentHeader,
    Kind,
    Message,
    Update,
    UpdateStatus,
)
from headway.errors import UpdateTooLarge
from headway.moments import Moment

DOCUMENT = Kind.DOCUMENT
BATCH = b"batch id"
Piece = FragmentHeader | Fragment


def at(seconds: float) -> Moment:
    return Moment(seconds, 0.0)


def pieces_of(messages: Iterable[Message]) -> list[Piece]:
    """A fragmented update's messages, under their narrower type."""
    found = [message for message in messages if isinstance(message, FragmentHeader | Fragment)]
    assert found
    return found


def cut(update: bytes, size: int, batch_id: bytes = BATCH, room: str = "r") -> list[Piece]:
    return pieces_of(split(DOCUMENT, room, update, batch_id, size))


def outcomes(assembler: Assembler, pieces: Iterable[Piece]) -> list[Assembled | Refused]:
    """What a sequence of messages brings to an end, time standing still."""
    answers = [assembler.receive(piece, at(0.0)) for piece in pieces]
    return [answer for answer in answers if answer is not None]


def statuses(found: Iterable[Assembled | Refused]) -> list[UpdateStatus]:
    return [answer.status for answer in found if isinstance(answer, Refused)]


def header(count: int, total_bytes: int, batch_id: bytes = BATCH) -> FragmentHeader:
    return FragmentHeader(DOCUMENT, "r", batch_id, count, total_bytes)


def fragment(index: int, data: bytes, batch_id: bytes = BATCH) -> Fragment:
    return Fragment(DOCUMENT, "r", batch_id, index, data)


def name(number: int) -> bytes:
    return number.to_bytes(8, "big")


updates = st.binary(min_size=4, max_size=60)
sizes = st.integers(1, 3)


@given(st.binary(max_size=100), st.integers(1, 40))
def test_a_split_update_is_joined_to_the_same_bytes(update: bytes, size: int) -> None:
    messages = tuple(split(DOCUMENT, "r", update, BATCH, size))
    if len(update) <= size:
        assert messages == (Update(DOCUMENT, "r", (update,), BATCH),)
        return
    assembler = Assembler()
    through_the_wire = pieces_of(
        message
        for message in map(codec.decode, map(codec.encode, messages))
        if not isinstance(message, codec.Unknown)
    )
    assert outcomes(assembler, through_the_wire) == [Assembled(update, BATCH, DOCUMENT, "r")]
    assert assembler.open_batches == 0
    assert assembler.next_deadline() is None


@pytest.mark.parametrize("extra", [0, 1, FRAGMENT_BYTES])
def test_every_message_of_a_split_fits_the_wire_in_the_widest_room(extra: int) -> None:
    update = bytes(FRAGMENT_BYTES + extra)
    messages = tuple(split(DOCUMENT, "x" * 128, update, BATCH))
    assert len(messages) == (1 if extra == 0 else 3)
    assert all(len(codec.encode(message)) <= MAX_MESSAGE_BYTES for message in messages)


def test_an_update_over_the_limit_is_not_split() -> None:
    limit = FRAGMENT_BYTES + 1
    assert len(tuple(split(DOCUMENT, "r", bytes(limit), BATCH, max_bytes=limit))) == 3
    with pytest.raises(UpdateTooLarge) as refused:
        split(DOCUMENT, "r", bytes(limit + 1), BATCH, max_bytes=limit)
    assert refused.value.data == {"limit": limit, "actual": limit + 1}
    with pytest.raises(UpdateTooLarge, match=f"limit is {MAX_UPDATE_BYTES}"):
        split(DOCUMENT, "r", bytes(MAX_UPDATE_BYTES + 1), BATCH)
    with pytest.raises(UpdateTooLarge):
        split(DOCUMENT, "r", bytes(MAX_FRAGMENTS + 1), BATCH, 1)


@given(updates, sizes, st.data())
def test_fragments_in_any_order_and_repeated_give_the_exact_update(
    update: bytes, size: int, data: st.DataObject
) -> None:
    first, *rest = cut(update, size)
    order = data.draw(st.permutations(rest))
    # The batch is still open before its last piece, so a repeated header there opens no other.
    order.insert(data.draw(st.integers(0, len(order) - 1)), first)
    repeats = data.draw(st.lists(st.sampled_from(rest), max_size=5))
    for piece in repeats:
        order.insert(data.draw(st.integers(order.index(piece) + 1, len(order))), piece)
    assembler = Assembler()
    assert outcomes(assembler, [first, *order]) == [Assembled(update, BATCH, DOCUMENT, "r")]
    assert outcomes(assembler, rest) == []


@given(st.lists(st.tuples(updates, sizes), min_size=2, max_size=4), st.data())
def test_interleaved_batches_do_not_disturb_each_other(
    batches: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    queues = [
        cut(update, size, name(number // 2), f"room {number % 2}")
        for number, (update, size) in enumerate(batches)
    ]
    stream: list[Piece] = []
    while any(queues):
        stream.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    found = outcomes(Assembler(), stream)
    assert sorted(
        (answer.room, answer.batch_id, answer.update)
        for answer in found
        if isinstance(answer, Assembled)
    ) == sorted(
        (f"room {number % 2}", name(number // 2), update)
        for number, (update, _) in enumerate(batches)
    )
    assert len(found) == len(batches)


@given(st.lists(st.tuples(updates, sizes), min_size=1, max_size=4), st.data())
def test_a_lossy_shuffled_stream_gives_exact_updates_or_refusals_and_forgets_no_batch(
    batches: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    sent = {name(number): update for number, (update, _) in enumerate(batches)}
    pieces = [
        piece
        for number, (update, size) in enumerate(batches)
        for piece in cut(update, size, name(number))
    ]
    stream = data.draw(st.permutations(pieces))
    stream = stream[: data.draw(st.integers(0, len(stream)))]
    stream += data.draw(st.lists(st.sampled_from(pieces), max_size=5))
    assembler = Assembler()
    found = outcomes(assembler, stream)
    found += assembler.expire(at(FRAGMENT_TIMEOUT_S))
    for answer in found:
        if isinstance(answer, Assembled):
            assert answer.update == sent[answer.batch_id]
    answered = {answer.batch_id for answer in found}
    assert answered == {piece.batch_id for piece in stream}
    assert assembler.next_deadline() is None


small = st.integers(0, 6)
garbage = st.one_of(
    st.builds(header, small, small, st.sampled_from([name(0), name(1)])),
    st.builds(fragment, small, st.binary(max_size=4), st.sampled_from([name(0), name(1)])),
)


@given(st.lists(garbage, max_size=40), st.data())
def test_contradictory_messages_never_break_the_bounds(
    stream: list[Piece], data: st.DataObject
) -> None:
    limits = AssemblyLimits(update_bytes=5, fragments=4, open_batches=1, open_bytes=5)
    assembler = Assembler(limits)
    headers: dict[bytes, set[int]] = {}
    now = 0.0
    for piece in stream:
        now += data.draw(st.sampled_from([0.0, 4.0, 11.0]))
        assembler.expire(at(now))
        if isinstance(piece, FragmentHeader):
            headers.setdefault(piece.batch_id, set()).add(piece.total_bytes)
        answer = assembler.receive(piece, at(now))
        if isinstance(answer, Assembled):
            assert len(answer.update) in headers[answer.batch_id]
        assert assembler.open_batches <= 1
        assert (assembler.next_deadline() is None) == (assembler.open_batches == 0)
    assembler.expire(at(now + LONGEST_BATCH_S))
    assert assembler.open_batches == 0


@pytest.mark.parametrize(
    ("count", "total_bytes", "status"),
    [
        (0, 0, UpdateStatus.INVALID_UPDATE),
        (0, 5, UpdateStatus.INVALID_UPDATE),
        (2, 1, UpdateStatus.INVALID_UPDATE),
        (-1, 5, UpdateStatus.INVALID_UPDATE),
        (2, -1, UpdateStatus.INVALID_UPDATE),
        (2**32 - 1, 2**32 - 2, UpdateStatus.INVALID_UPDATE),
        (2**32 - 1, 2**32 - 1, UpdateStatus.PAYLOAD_TOO_LARGE),
        (1, MAX_UPDATE_BYTES + 1, UpdateStatus.PAYLOAD_TOO_LARGE),
        (MAX_FRAGMENTS + 1, MAX_UPDATE_BYTES, UpdateStatus.PAYLOAD_TOO_LARGE),
    ],
)
def test_a_header_that_cannot_be_is_refused_and_its_fragments_are_dropped(
    count: int, total_bytes: int, status: UpdateStatus
) -> None:
    assembler = Assembler()
    found = outcomes(assembler, [header(count, total_bytes), fragment(0, b"x"), fragment(1, b"y")])
    assert statuses(found) == [status]
    assert assembler.open_batches == 0


@pytest.mark.parametrize(
    "stream",
    [
        [header(2, 4), fragment(2, b"ab")],
        [header(2, 4), fragment(-1, b"ab")],
        [header(2, 4), fragment(2**32 - 1, b"ab")],
        [header(2, 4), fragment(0, b"")],
        [header(2, 4), fragment(0, b"abcd")],
        [header(2, 4), fragment(0, b"abcde")],
        [header(2, 4), fragment(0, b"a"), fragment(1, b"bcde")],
        [header(2, 4), fragment(0, b"a"), fragment(1, b"b")],
        [header(2, 4), fragment(0, b"ab"), fragment(0, b"cd")],
        [header(2, 4), header(2, 5)],
        [header(2, 4), header(3, 4)],
        [fragment(0, b"ab")],
    ],
)
def test_a_batch_that_contradicts_itself_is_refused_once(stream: list[Piece]) -> None:
    assembler = Assembler()
    found = outcomes(assembler, [*stream, fragment(1, b"cd"), fragment(0, b"ab")])
    assert statuses(found) == [UpdateStatus.INVALID_UPDATE]
    assert len(found) == 1
    assert assembler.open_batches == 0


def test_a_fragment_that_leaves_no_bytes_for_the_missing_ones_ends_its_batch_at_once() -> None:
    assembler = Assembler()
    assert outcomes(assembler, [header(3, 4), fragment(0, b"ab")]) == []
    assert statuses(outcomes(assembler, [fragment(1, b"cd")])) == [UpdateStatus.INVALID_UPDATE]


def test_a_refused_batch_may_be_sent_again_under_its_id() -> None:
    assembler = Assembler()
    outcomes(assembler, [header(2, 4), fragment(0, b"")])
    assert outcomes(assembler, cut(b"abcd", 2)) == [Assembled(b"abcd", BATCH, DOCUMENT, "r")]
    assert outcomes(assembler, cut(b"efgh", 2)) == [Assembled(b"efgh", BATCH, DOCUMENT, "r")]


def test_the_same_batch_id_in_another_room_or_kind_is_another_batch() -> None:
    assembler = Assembler()
    presence = pieces_of(split(Kind.PRESENCE, "r", b"efgh", BATCH, 2))
    streams = [cut(b"abcd", 2), presence, cut(b"ijkl", 2, room="other")]
    stream = [piece for group in zip(*streams, strict=True) for piece in group]
    found = outcomes(assembler, stream)
    assert [answer.update for answer in found if isinstance(answer, Assembled)] == [
        b"abcd",
        b"efgh",
        b"ijkl",
    ]


def test_more_open_batches_than_the_limit_are_refused_for_now() -> None:
    assembler = Assembler(AssemblyLimits(open_batches=2))
    found = outcomes(assembler, [header(2, 4, name(number)) for number in range(3)])
    assert [
        (answer.batch_id, answer.status) for answer in found if isinstance(answer, Refused)
    ] == [(name(2), UpdateStatus.RATE_LIMITED)]
    outcomes(assembler, [fragment(0, b"ab", name(0)), fragment(1, b"cd", name(0))])
    assert outcomes(assembler, cut(b"abcd", 2, name(2))) == [
        Assembled(b"abcd", name(2), DOCUMENT, "r")
    ]


def test_open_batches_share_one_bound_of_bytes_and_give_it_back() -> None:
    assembler = Assembler(AssemblyLimits(update_bytes=10, open_bytes=10))
    assert outcomes(assembler, [header(2, 6, name(0))]) == []
    assert statuses(outcomes(assembler, [header(2, 5, name(1))])) == [UpdateStatus.RATE_LIMITED]
    assert statuses(assembler.expire(at(FRAGMENT_TIMEOUT_S))) == [UpdateStatus.FRAGMENT_TIMEOUT]
    assert outcomes(assembler, [header(2, 10, name(1))]) == []
    assembler.forget(DOCUMENT, "r")
    assert outcomes(assembler, [header(2, 10, name(2))]) == []


def test_a_claimed_size_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        assembler = Assembler()
        assert outcomes(assembler, [header(MAX_FRAGMENTS, MAX_UPDATE_BYTES)]) == []
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert assembler.open_batches == 1
    assert peak_bytes < 64 * 1024


def test_what_is_remembered_of_ended_batches_is_bounded() -> None:
    tracemalloc.start()
    try:
        assembler = Assembler()
        for number in range(5000):
            assert assembler.receive(fragment(0, b"x", name(number)), at(0.0)) is not None
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 256 * 1024


def test_a_batch_that_stands_still_times_out() -> None:
    assembler = Assembler()
    assembler.receive(header(3, 6), at(100.0))
    assert assembler.next_deadline() == 100.0 + FRAGMENT_TIMEOUT_S
    assembler.receive(fragment(0, b"ab"), at(109.0))
    assembler.receive(fragment(0, b"ab"), at(115.0))
    assert assembler.next_deadline() == 109.0 + FRAGMENT_TIMEOUT_S
    assert assembler.expire(at(118.9)) == ()
    (refused,) = assembler.expire(at(119.0))
    assert (refused.batch_id, refused.status) == (BATCH, UpdateStatus.FRAGMENT_TIMEOUT)
    assert "1 of 3" in refused.reason
    assert assembler.receive(fragment(1, b"cd"), at(119.0)) is None
    assert assembler.next_deadline() is None


def test_a_batch_that_only_trickles_is_over_in_the_end() -> None:
    assembler = Assembler()
    assembler.receive(header(1000, 1000), at(0.0))
    index, now = 0, 0.0
    while not (refused := assembler.expire(at(now))):
        assembler.receive(fragment(index, b"x"), at(now))
        index, now = index + 1, now + FRAGMENT_TIMEOUT_S / 2
        assert now <= LONGEST_BATCH_S
    assert now == LONGEST_BATCH_S
    assert statuses(refused) == [UpdateStatus.FRAGMENT_TIMEOUT]


def test_late_batches_are_refused_in_the_order_of_their_headers() -> None:
    assembler = Assembler()
    for number in range(4):
        assembler.receive(header(2, 4, name(number)), at(float(number)))
    assert [refused.batch_id for refused in assembler.expire(at(12.0))] == [
        name(0),
        name(1),
        name(2),
    ]
    assert assembler.next_deadline() == 3.0 + FRAGMENT_TIMEOUT_S


def test_a_late_fragment_still_completes_a_batch_nobody_expired() -> None:
    assembler = Assembler()
    *early, last = cut(b"abcd", 2)
    outcomes(assembler, early)
    assert assembler.receive(last, at(60.0)) == Assembled(b"abcd", BATCH, DOCUMENT, "r")


def test_forgetting_a_room_leaves_the_others() -> None:
    assembler = Assembler()
    outcomes(assembler, [*cut(b"abcd", 2)[:2], *cut(b"efgh", 2, room="other")[:2]])
    assembler.forget(DOCUMENT, "r")
    assert assembler.open_batches == 1
    assert outcomes(assembler, cut(b"efgh", 2, room="other")[2:]) == [
        Assembled(b"efgh", BATCH, DOCUMENT, "other")
    ]
    assert outcomes(assembler, cut(b"abcd", 2)) == [Assembled(b"abcd", BATCH, DOCUMENT, "r")]
