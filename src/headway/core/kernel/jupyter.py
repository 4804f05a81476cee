"""Jupyter's messages, read into kernel events.

Floor 1. No sockets and no signatures: messages are dicts as `jupyter_client` parses them.
Source: "Messaging in Jupyter", protocol 5.3 and later.

A kernel is a foreign program, so reading is tolerant: a message of an unknown type, or one of a
known type without its form, gives no events, and nothing here raises. What is given is clean:
every string is valid Unicode (lone surrogates become U+FFFD) and every number is finite (NaN and
the infinities become None), so that it fits a document and JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from headway.in_kernel.streams import FLUSHED

__all__ = ["input_request_of", "parent_id", "read_message"]

Message = dict[str, Any]

_CONTROL_THREAD: Final = 6
"""From this version of ipykernel on a thread of its own answers its control socket, which takes
every request that the shell socket takes."""


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


def _stream(parent: str | None, message: Message) -> tuple[KernelEvent, ...]:
    content = message["content"]
    name = "stderr" if content.get("name") == "stderr" else "stdout"
    return (Stream(parent, name, _text(content["text"]), _is_flushed(message)),)


def _is_flushed(message: Message) -> bool:
    """Whether a prepared ipykernel says that the program had this text flushed."""
    parent = message.get("parent_header")
    return isinstance(parent, dict) and parent.get(FLUSHED) is True


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
        any(map(_asks_for_the_end, _payload(content, "ask_exit"))),
    )
    return (*_pages(parent, content), reply)


def _pages(parent: str, content: Message) -> tuple[KernelEvent, ...]:
    """What `name?` answers comes with the reply instead of as an output; a cell shows it."""
    bundles = map(_bundle, _payload(content, "page"))
    return tuple(DisplayData(parent, data, metadata) for data, metadata in bundles)


def _asks_for_the_end(item: Message) -> bool:
    return not item.get("keepkernel", False)


def _payload(content: Message, source: str) -> Iterator[Message]:
    """What comes with a reply for whoever shows the cell, as far as it is from there."""
    payload = content.get("payload")
    for item in payload if isinstance(payload, list) else ():
        if isinstance(item, dict) and item.get("source") == source:
            yield item


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
    answers_while_busy = _answers_while_busy(content)
    return (KernelInfo(_text(language), info, version, banner, answers_while_busy),)


def _answers_while_busy(content: Message) -> bool:
    version = str(content.get("implementation_version", ""))
    major = version.split(".", maxsplit=1)[0]
    is_ipykernel = content.get("implementation") == "ipython"
    return is_ipykernel and major.isdecimal() and int(major) >= _CONTROL_THREAD


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
    "stream": _stream,
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
