"""Ask the next language model when one fails."""

from __future__ import annotations

from dagflow.errors import LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import losses
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper, all_failed

__all__ = ["Fallback", "fallback"]


class Fallback(Wrapper):
    """Language models that stand in for one another; `fallback` makes it.

    `answered` counts, for each of them in order, the requests that it answered.
    """

    made_by = "fallback"

    def __init__(self, *lms: BaseLM) -> None:
        super().__init__(*lms)
        self.answered: list[int] = [0] * len(lms)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Ask one after the other until one answers; see `fallback`."""
        failures: list[tuple[BaseLM, LMError]] = []
        with losses() as lost:
            for number, lm in enumerate(self._lms):
                try:
                    response = await lm.complete(request)
                except LMError as error:
                    failures.append((lm, error))
                    continue
                if response.finish_reason != "refusal":
                    self.answered[number] += 1
                    return response
                lost.add(response.usage)
                message = f"the model refused to answer: {response.text[:200]}"
                refused = LMError(message, provider_message=response.text, request_id=response.request_id)
                failures.append((lm, refused))
        raise all_failed(failures)


def fallback(lm: BaseLM, *others: BaseLM) -> Fallback:
    """Ask `lm`, and the next of `others` whenever one fails with an `LMError` or refuses to answer.

    Each is asked once, so give `retrying(lm)` where it is to be asked again first. What the failed ones used is
    counted. An answer that is merely invalid is repaired by whoever gave it: it is no failure.

    Raises one `LMError` that names each with its error when all have failed; its `__cause__` is an
    `ExceptionGroup` of these. It is retriable if one of them is. Cancellation passes through.
    """
    return Fallback(lm, *others)
