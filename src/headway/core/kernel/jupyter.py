"""Jupyter's messages: read into kernel events, and written from requests.

Floor 1. No sockets and no signatures: messages are dicts as `jupyter_client` parses them.
Source: "Messaging in Jupyter", protocol 5.3 and later.

A kernel is a foreign program, so reading is tolerant: a message of an unknown type, or one of a
known type without its form, gives no events, and nothing here raises. What is given is clean:
every string is valid Unicode (lone surrogates become U+FFFD) and every number is finite (NaN and
the infinities become None), so that it fits a document and JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headway.core.kernel.clean import clean_text as _text
from headway.core.kernel.clean import clean_value as _clean
from headway.core.kernel.comm_messages import (
    read_comm_close,
    read_comm_info,
    read_comm_msg,
    read_comm_open,
)
from headway.core.kernel.events import (
    SUBSHELLS,
    Busy,
    ClearOutput,
    CompleteReply,
    Completion,
    DisplayData,
    ErrorOutput,
    ExecuteInput,
    ExecuteReply,
    ExecuteResult,
    HistoryInput,
    HistoryReply,
    Idle,
    InputRequest,
    InspectReply,
    IsCompleteReply,
    KernelEvent,
    KernelInfo,
    Stream,
    UpdateDisplay,
)

__all__ = [
    "HISTORY_INPUTS_AT_ONCE",
    "PREPARE_IPYKERNEL",
    "STREAM_CHARACTERS",
    "complete_request",
    "execute_request",
    "history_request",
    "input_reply",
    "input_request_of",
    "inquiry_request",
    "inspect_request",
    "is_complete_request",
    "is_ipykernel",
    "parent_id",
    "prepare_request",
    "read_inquiry",
    "read_message",
]

Message = dict[str, Any]

HISTORY_INPUTS_AT_ONCE: Final = 200
"""Inputs that IPython gathers before it writes them to its history file."""

_FLUSH_WHAT_WAS_WRITTEN: Final = (
    "[(lambda stream, flush, wrote, written: ("
    "setattr(stream, '_schedule_flush', lambda: (written.append(True), wrote())), "
    "setattr(stream, 'flush', lambda: (written.clear(), flush()) and None"
    " if written or not stream._is_master_process() else None)))"
    "(stream, stream.flush, stream._schedule_flush, __import__('collections').deque([True], 1))"
    " for stream in (out, err)]"
)
"""A stream of ipykernel to which nothing was written since it was flushed is not flushed again."""

STREAM_CHARACTERS: Final = 131_072
"""How much text an ipykernel puts into one message. As it comes it puts all that was printed
within one interval into one, 50 MB say, and whoever takes that does nothing else meanwhile."""

PREPARE_IPYKERNEL: Final = (
    "(lambda out, err, shell, zmq: ("
    "setattr(out, 'flush_interval', 0.02), setattr(err, 'flush_interval', 0.02), "
    "shell.kernel.iopub_thread.schedule("
    "lambda: shell.kernel.iopub_thread.socket.setsockopt(zmq.SNDHWM, 0)), "
    "setattr(shell.history_manager, 'db_cache_size',"
    f" max(shell.history_manager.db_cache_size, {HISTORY_INPUTS_AT_ONCE})), "
    "setattr(shell.kernel, '_execute_sleep', 0), "
    "[setattr(each, '_flush_buffers', (lambda flush: lambda: ("
    f"(parent, text[start:start + {STREAM_CHARACTERS}]) for parent, text in flush() "
    f"for start in range(0, len(text), {STREAM_CHARACTERS})))(each._flush_buffers)) "
    "for each in (out, err) if hasattr(each, '_flush_buffers')], "
    f"{_FLUSH_WHAT_WAS_WRITTEN}) and None)"
    "(__import__('sys').stdout, __import__('sys').stderr, get_ipython(), __import__('zmq'))"
)
"""One expression that leaves no name behind in the user's namespace. It makes ipykernel

*   show what is printed within 20 ms instead of 200 (its `OutStream.flush_interval`), and
*   send a flood of text in messages of `STREAM_CHARACTERS`;
*   keep, instead of silently drop, messages beyond its socket's default high-water mark of 1000
    when the reader lags; set in the thread that owns the socket;
*   write IPython's own history file once in `HISTORY_INPUTS_AT_ONCE` inputs, instead of after
    each, by a transaction that every kernel of the user waits for (half of the time of a small
    cell, measured). What searches the history writes it first, and so does the kernel's end;
    only a kernel that is killed forgets its last inputs there, never in the notebook;
*   not sleep half a millisecond before each reply, which it does so that clients that stop
    reading at the reply see the output: we read on until it says idle, after all of it; and
*   not wait for its sending thread six times in each cell, to flush streams to which nothing was
    written (a fifth of the time of a small cell, measured). The first flush after a write waits
    as it did, so text and other outputs keep their order; a forked child always does.
"""


_SOUND_SUBSHELLS: Final = [7, 4]
"""From this version of ipykernel on."""

_QUESTIONS: Final = (
    "complete_request",
    "inspect_request",
    "is_complete_request",
    "history_request",
)

KEEP_PARENT_IPYKERNEL: Final = (
    "(lambda shell, kernel, whole: hasattr(shell, 'set_thread_parent') and "
    "setattr(kernel, 'set_parent', lambda ident, parent, channel='shell': "
    "whole(ident, parent, channel) if channel != 'shell' or "
    f"parent.get('header', {{}}).get('msg_type') not in {_QUESTIONS!r} else "
    "(kernel._shell_parent_ident.set(ident), kernel._shell_parent.set(parent), "
    "shell.set_thread_parent(parent))))"
    "(get_ipython(), get_ipython().kernel, get_ipython().kernel.set_parent)"
)
"""One expression that lets a question be the parent of what its own thread does, and no more.
ipykernel makes every request the parent of what threads print that a cell left behind, so that
their output would be no cell's once somebody has typed a letter."""

_INQUIRY: Final = "headway-inquiry"

INQUIRE_IPYKERNEL: Final = (
    "(lambda shell, last: shell.payload_manager.write_payload({"
    f"'source': '{_INQUIRY}', "
    "'sha256': __import__('hashlib').sha256(last.info.raw_cell.encode()).hexdigest(), "
    "'count': last.execution_count or 0, "
    "'error': '' if last.success else "
    "type(last.error_before_exec or last.error_in_exec).__name__}, single=False))"
    "(get_ipython(), get_ipython().last_execution_result)"
)
"""One expression that tells of the execution before it how it ended, in its reply's payload, and
leaves no name behind. Asked after an execution whose reply may have been sent to nobody."""


def execute_request(code: str, *, allow_stdin: bool = False) -> Message:
    """The content that runs `code`.

    `stop_on_error` is off: what an error stops is decided by our own queue. Without `allow_stdin`
    `input()` fails at once instead of waiting for somebody who may not be there.
    """
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": allow_stdin,
        "stop_on_error": False,
    }


def prepare_request(*expressions: str) -> Message:
    """The content that prepares an ipykernel: silent, without history or an execution count.

    It evaluates our own preparations, then `expressions`.
    """
    prepare = f"({PREPARE_IPYKERNEL}, {KEEP_PARENT_IPYKERNEL}) and None"
    code = "\n".join((prepare, *expressions))
    return execute_request(code) | {"silent": True, "store_history": False}


def inquiry_request() -> Message:
    """The content that asks an ipykernel how its last execution ended; silent as preparing is."""
    return execute_request(INQUIRE_IPYKERNEL) | {"silent": True, "store_history": False}


def read_inquiry(message: Message, sha256: str, after_count: int) -> tuple[str, str] | None:
    """What an inquiry's reply says of the execution: ("ok", "") or ("error", its exception).

    None when the last execution was another one, or nothing can be told. Never raises.
    """
    content = message.get("content")
    payload = content.get("payload") if isinstance(content, dict) else None
    for item in payload if isinstance(payload, list) else ():
        if isinstance(item, dict) and item.get("source") == _INQUIRY:
            count, error = item.get("count"), item.get("error")
            is_it = item.get("sha256") == sha256 and isinstance(count, int) and count > after_count
            if is_it and isinstance(error, str):
                return ("error", error) if error else ("ok", "")
    return None


def input_reply(value: str) -> Message:
    """The content that answers an input request."""
    return {"value": value}


def complete_request(code: str, cursor: int) -> Message:
    """The content that asks what fits at `cursor` (code points)."""
    return {"code": code, "cursor_pos": cursor}


def inspect_request(code: str, cursor: int, detail: int) -> Message:
    """The content that asks about the name at `cursor` (code points); `detail` is 0 or 1."""
    return {"code": code, "cursor_pos": cursor, "detail_level": detail}


def is_complete_request(code: str) -> Message:
    """The content that asks whether `code` is whole, or goes on in the next line."""
    return {"code": code}


def history_request(
    n: int,
    *,
    pattern: str | None,
    session: int | None,
    unique: bool,
    output: bool,
) -> Message:
    """The content that asks for earlier inputs, at most `n`, as they were typed.

    Those that fit a `pattern` (`*` and `?` stand for any text and any character), or those of one
    `session` (0: this one, -1: the one before), or the last ones.
    """
    content: Message = {"raw": True, "output": output}
    if pattern is not None:
        return content | {
            "hist_access_type": "search",
            "pattern": pattern,
            "n": n,
            "unique": unique,
        }
    if session is not None:
        return content | {"hist_access_type": "range", "session": session, "start": 1, "stop": None}
    return content | {"hist_access_type": "tail", "n": n}


def is_ipykernel(message: Message) -> bool:
    """Whether this kernel_info_reply is that of ipykernel, which `PREPARE_IPYKERNEL` is for."""
    content = message.get("content")
    return isinstance(content, dict) and content.get("implementation") == "ipython"


def parent_id(message: Message) -> str | None:
    """The id of the request that a message answers, or None."""
    parent = message.get("parent_header")
    found = parent.get("msg_id") if isinstance(parent, dict) else None
    return found if isinstance(found, str) and found else None


def read_message(message: Message) -> tuple[KernelEvent, ...]:
    """The events in one message of any channel; () if it holds none that we know. Never raises."""
    header, content = message.get("header"), message.get("content")
    if not isinstance(header, dict) or not isinstance(content, dict):
        return ()
    kind = header.get("msg_type")
    if not isinstance(kind, str):
        return ()
    try:
        if (whole_reader := _WHOLE_READERS.get(kind)) is not None:
            return whole_reader(parent_id(message), message)
        reader = _READERS.get(kind)
        return () if reader is None else reader(parent_id(message), content)
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()


def _status(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    match content["execution_state"]:
        case "busy":
            return (Busy(parent),)
        case "idle":
            return (Idle(parent),)
        case _:
            return ()


def _execute_input(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    return (ExecuteInput(parent, _count(content["execution_count"])),)


def _stream(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    name = "stderr" if content.get("name") == "stderr" else "stdout"
    return (Stream(parent, name, _text(content["text"])),)


def _display_data(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    data, metadata = _bundle(content)
    return (DisplayData(parent, data, metadata, _display_id(content)),)


def _execute_result(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    data, metadata = _bundle(content)
    count = _count(content["execution_count"])
    return (ExecuteResult(parent, data, metadata, count, _display_id(content)),)


def _update_display(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    data, metadata = _bundle(content)
    display_id = _display_id(content)
    return () if display_id is None else (UpdateDisplay(parent, data, metadata, display_id),)


def _clear_output(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    return (ClearOutput(parent, bool(content.get("wait", False))),)


def _error(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    traceback = tuple(_text(line) for line in content.get("traceback", ()))
    return (ErrorOutput(parent, _text(content["ename"]), _text(content["evalue"]), traceback),)


def _execute_reply(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    if parent is None:
        return ()
    status = content.get("status")
    if status not in {"ok", "error"}:
        status = "aborted"  # also "abort", as ipykernel before version 6 wrote it
    count = content.get("execution_count")
    reply = ExecuteReply(
        parent,
        status,
        count if _is_count(count) else None,
        _text(content["ename"]) if isinstance(content.get("ename"), str) else None,
        _text(content["evalue"]) if isinstance(content.get("evalue"), str) else None,
    )
    return (*_pages(parent, content.get("payload")), reply)


def _pages(parent: str, payload: Any) -> tuple[KernelEvent, ...]:
    """What `name?` answers comes with the reply instead of as an output; a cell shows it."""
    found: list[KernelEvent] = []
    for item in payload if isinstance(payload, list) else ():
        if isinstance(item, dict) and item.get("source") == "page":
            data, metadata = _bundle(item)
            found.append(DisplayData(parent, data, metadata))
    return tuple(found)


def input_request_of(parent: str | None, content: Message) -> tuple[InputRequest, ...]:
    """What a kernel asks for with this content of an input_request."""
    prompt = content.get("prompt")
    text = _text(prompt) if isinstance(prompt, str) else ""
    return (InputRequest(parent, text, bool(content.get("password", False))),)


def _kernel_info_reply(_parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    info = _clean(content.get("language_info") or {})
    if not isinstance(info, dict):
        return ()
    language = info.get("name") or content.get("language") or ""
    version = _text(content.get("protocol_version") or "")
    banner = _text(content.get("banner") or "")
    return (KernelInfo(_text(language), info, version, banner, _features(content)),)


def _features(content: Message) -> tuple[str, ...]:
    """What it says that it can, without ipykernel's subshells from before 7.4.

    There an answer of a subshell could keep a request from being read until the next one came
    (https://github.com/ipython/ipykernel/pull/1529).
    """
    said = content.get("supported_features")
    features = [_text(each) for each in said] if isinstance(said, list) else []
    if content.get("implementation") == "ipython":
        version = str(content.get("implementation_version", "")).split(".")[:2]
        numbers = [int(part) for part in version if part.isdecimal()]
        if numbers < _SOUND_SUBSHELLS:
            features = [each for each in features if each != SUBSHELLS]
    return tuple(features)


def _complete_reply(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    if parent is None:
        return ()
    if content.get("status", "ok") != "ok":
        return (CompleteReply(parent, (), 0, 0),)
    matches = tuple(_text(match) for match in content["matches"])
    start, end = _count(content["cursor_start"]), _count(content["cursor_end"])
    metadata = content.get("metadata")
    said = metadata.get("_jupyter_types_experimental") if isinstance(metadata, dict) else None
    completions = _completions(said) if isinstance(said, list) else ()
    return (CompleteReply(parent, matches, start, end, completions),)


def _completions(said: list[Any]) -> tuple[Completion, ...]:
    """The completions with their kinds; none of them when one has not the form."""
    try:
        return tuple(
            Completion(
                _text(each["text"]),
                _count(each["start"]),
                _count(each["end"]),
                _text(each["type"]) if each.get("type") else None,
                _text(each["signature"]) if each.get("signature") else None,
            )
            for each in said
        )
    except (KeyError, TypeError, AttributeError):
        return ()


def _inspect_reply(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    if parent is None:
        return ()
    if content.get("status", "ok") != "ok" or not content.get("found"):
        return (InspectReply(parent, found=False, data={}),)
    return (InspectReply(parent, found=True, data=_bundle(content)[0]),)


def _is_complete_reply(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    if parent is None:
        return ()
    status, indent = content.get("status"), content.get("indent")
    if status not in {"complete", "incomplete", "invalid"}:
        status = "unknown"
    return (IsCompleteReply(parent, status, _text(indent) if isinstance(indent, str) else ""),)


def _history_reply(parent: str | None, content: Message) -> tuple[KernelEvent, ...]:
    if parent is None:
        return ()
    found = content.get("history") if content.get("status", "ok") == "ok" else ()
    inputs = (_history_input(each) for each in (found if isinstance(found, list) else ()))
    return (HistoryReply(parent, tuple(each for each in inputs if each is not None)),)


def _history_input(said: Any) -> HistoryInput | None:
    """`[session, line, input]`, or `[session, line, [input, output]]`."""
    try:
        session, line, text = said
        if isinstance(text, str):
            return HistoryInput(int(session), int(line), _text(text))
        source, output = text
        return HistoryInput(
            int(session), int(line), _text(source), None if output is None else _text(str(output))
        )
    except (TypeError, ValueError):
        return None


_READERS: Final[dict[str, Callable[[str | None, Message], tuple[KernelEvent, ...]]]] = {
    "status": _status,
    "execute_input": _execute_input,
    "stream": _stream,
    "display_data": _display_data,
    "execute_result": _execute_result,
    "update_display_data": _update_display,
    "clear_output": _clear_output,
    "error": _error,
    "execute_reply": _execute_reply,
    "input_request": input_request_of,
    "kernel_info_reply": _kernel_info_reply,
    "complete_reply": _complete_reply,
    "inspect_reply": _inspect_reply,
    "is_complete_reply": _is_complete_reply,
    "history_reply": _history_reply,
    "comm_info_reply": read_comm_info,
}

# Of a comm's messages the binary parts count too, which are beside the content.
_WHOLE_READERS: Final[dict[str, Callable[[str | None, Message], tuple[KernelEvent, ...]]]] = {
    "comm_open": read_comm_open,
    "comm_msg": read_comm_msg,
    "comm_close": read_comm_close,
}


def _bundle(content: Message) -> tuple[dict[str, Any], dict[str, Any]]:
    data, metadata = _clean(content["data"]), _clean(content.get("metadata") or {})
    if not isinstance(data, dict) or not isinstance(metadata, dict):
        raise TypeError("a MIME bundle is two objects")
    return data, metadata


def _display_id(content: Message) -> str | None:
    transient = content.get("transient")
    found = transient.get("display_id") if isinstance(transient, dict) else None
    return _text(found) if isinstance(found, str) and found else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(value: Any) -> int:
    if not _is_count(value):
        raise TypeError("not a count")
    return int(value)
