from __future__ import annotations

from headway.core.room.effects import Answer, Refuse
from headway.core.room.inputs import Requested
from headway.core.room.ledger import Ledger
from headway.core.room.requests import Requests
from headway.core.room.savers import Saver, Savers
from headway.core.wire.rpc import Save, Saved
from headway.errors import FileChanged
from headway.moments import Moment

SAVED = Saved(path="/a", heads="", sha256="", changed=False)


def savers(*targets: str) -> tuple[Savers, Ledger]:
    """Savers with one waiter for each target; their tokens count from 1."""
    ledger = Ledger()
    requests = Requests(ledger)
    made = Savers(requests)
    for token, target in enumerate(targets, 1):
        requests.open(Requested(token, None, Save(document="nb"), 100.0, "ada"))
        made.add(Saver(token, target, decides=target != "/daemons"))
    return made, ledger


def test_who_wants_to_save_to_a_path_is_taken_together_and_the_others_stay() -> None:
    made, _ = savers("/a", "/b", "/a")
    assert made.first_target == "/a"
    assert made.take("/a") == (Saver(1, "/a"), Saver(3, "/a"))
    assert made.first_target == "/b"
    assert made.take("/b") == (Saver(2, "/b"),)
    assert not made


def test_who_is_put_back_is_first_again() -> None:
    made, _ = savers("/a", "/b")
    made.put_back(made.take("/b"))
    assert made.first_target == "/b"


def test_each_is_answered_or_refused_once() -> None:
    made, ledger = savers("/a", "/b", "/c")
    error = FileChanged("It was written.")
    made.answer("/a", SAVED)
    made.refuse("/b", error)
    made.refuse(None, error)
    made.refuse(None, error)
    assert ledger.settle(Moment(0, 0)) == [Answer(1, SAVED), Refuse(2, error), Refuse(3, error)]
    assert not made


def test_those_who_may_not_decide_are_refused_alone() -> None:
    made, ledger = savers("/daemons", "/a")
    made.add(Saver(3, "/daemons"))
    error = FileChanged("It was removed.")
    made.refuse("/daemons", error, undecided=True)
    assert ledger.settle(Moment(0, 0)) == [Refuse(1, error)]
    assert made.take("/daemons") == (Saver(3, "/daemons"),)
    assert made.first_target == "/a"
