"""What a notebook's kernel can be asked without running anything.

Floor 5. A question waits for nothing but the kernel, and only until its own deadline.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

from headway.client.arguments import checked_text
from headway.client.comms import AsyncComms
from headway.core.wire import rpc

__all__ = ["AsyncQuestions"]


class AsyncQuestions(AsyncComms):
    """A notebook whose kernel answers questions.

    One that runs a cell answers them meanwhile if it is an ipykernel; of others a question waits
    until it runs nothing. Each raises DeadlineExceeded when its `timeout` passes first, and
    KernelDied when there is no kernel.
    """

    async def complete(
        self, code: str, cursor: int | None = None, *, timeout: float = rpc.REQUEST_TIMEOUT_S
    ) -> rpc.Completions:
        """What the kernel would put at `cursor` (code points; the end if None) in `code`."""
        at = len(checked_text("code", code)) if cursor is None else cursor
        params = rpc.Complete(document=self.id, code=code, cursor=at)
        answer: rpc.Completions = await self._pump.request(params, timeout)
        return answer

    async def inspect(
        self,
        code: str,
        cursor: int | None = None,
        *,
        detail: int = 0,
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> rpc.Inspection:
        """What the kernel knows of the name at `cursor` (code points; the end if None)."""
        at = len(checked_text("code", code)) if cursor is None else cursor
        params = rpc.Inspect(document=self.id, code=code, cursor=at, detail=detail)
        answer: rpc.Inspection = await self._pump.request(params, timeout)
        return answer

    async def is_complete(
        self, code: str, *, timeout: float = rpc.REQUEST_TIMEOUT_S
    ) -> rpc.Completeness:
        """Whether the kernel would run `code` as it is, or it goes on in the next line."""
        params = rpc.IsComplete(document=self.id, code=code)
        answer: rpc.Completeness = await self._pump.request(params, timeout)
        return answer

    async def kernel_history(
        self,
        n: int = 100,
        *,
        pattern: str | None = None,
        session: int | None = None,
        unique: bool = False,
        output: bool = False,
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> rpc.KernelInputs:
        """The last `n` inputs that the kernel remembers, other notebooks' and other days' too.

        With `pattern` (`*` and `?` as in names of files) the last that fit it; with `session`
        those of one session (0: this kernel's own, -1: the one before).
        """
        params = rpc.KernelHistory(
            document=self.id, n=n, pattern=pattern, session=session, unique=unique, output=output
        )
        answer: rpc.KernelInputs = await self._pump.request(params, timeout)
        return answer
