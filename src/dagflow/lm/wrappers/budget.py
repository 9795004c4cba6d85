"""Stop asking when what requests have used comes to a limit."""

from __future__ import annotations

import anyio
import attrs

from dagflow.errors import LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import estimate, losses
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper, lm_name, positive, used
from dagflow.types import Usage

__all__ = ["Budgeted", "budgeted"]


class Budgeted(Wrapper):
    """A language model with a budget; `budgeted` makes it.

    `spent` is what its requests have used, with those that failed or were cancelled, and `spent_seconds` how long
    they took together. Both grow when a request is over.
    """

    made_by = "budgeted"

    def __init__(self, lm: BaseLM, seconds: float | None, tokens: float | None, cost: float | None) -> None:
        super().__init__(lm)
        self.spent: Usage = Usage()
        self.spent_seconds: float = 0.0
        self._lm = lm
        self._seconds, self._tokens, self._cost = seconds, tokens, cost
        self._permits: set[_Permit] = set()
        self._priced = Usage(cost=0.0)
        self._cost_unknown = False

    @property
    def in_flight(self) -> int:
        """How many requests are under way, those that are cancelled and still clean up among them."""
        return len(self._permits)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Send the request if the budget allows; see `budgeted`."""
        tokens = estimate(request).input_tokens
        self._check(tokens)
        permit = _Permit(tokens, anyio.current_time())
        self._permits.add(permit)
        answered = Usage()
        with losses() as lost:
            try:
                response = await self._lm.complete(request)
                answered = used(request, response)
            finally:
                # Only now, with all clean-up done, is the request over. What it used counts from the moment on at
                # which its reservation does not.
                self._permits.remove(permit)
                self.spent_seconds += anyio.current_time() - permit.began
                self._spend(answered, lost.usage)
            if self._cost is not None and _is_unpriced(answered):
                lost.add(response.usage)
                raise self._unknown_cost()
        return response

    def _check(self, tokens: int) -> None:
        """Refuse a request that the budget does not allow, with what the requests under way may use."""
        if self._cost_unknown:
            raise self._unknown_cost()
        reserved = sum(permit.tokens for permit in self._permits)
        running = sum(anyio.current_time() - permit.began for permit in self._permits)
        self._allow("tokens", self._tokens, _tokens(self.spent), reserved, tokens)
        self._allow("seconds", self._seconds, self.spent_seconds, running, 0)
        self._allow("US dollars", self._cost, self.spent.cost or 0, self._price(reserved), self._price(tokens))

    def _allow(self, unit: str, limit: float | None, spent: float, reserved: float, needed: float) -> None:
        if limit is None or (spent + reserved < limit and spent + reserved + needed <= limit):
            return
        raise LMError(
            f"the budget of {_number(limit)} {unit} does not allow this request: {_number(spent)} are spent, "
            f"{_number(reserved)} reserved for {len(self._permits)} requests under way, "
            f"and this one needs about {_number(needed)}; give budgeted a higher limit, or ask for less"
        )

    def _spend(self, answered: Usage, lost: Usage) -> None:
        """Count what a request used; what it lost is mostly without a cost, and priced as the answers were."""
        if answered.cost is not None:
            self._priced += answered
        if self._cost is not None:
            self._cost_unknown = self._cost_unknown or _is_unpriced(answered)
            if _is_unpriced(lost):
                lost = attrs.evolve(lost, cost=self._price(_tokens(lost)), estimated=True)
        self.spent += answered + lost

    def _price(self, tokens: int) -> float:
        """What so many tokens cost at the mean price of the answers so far; nothing before there is one."""
        known = _tokens(self._priced)
        return tokens * (self._priced.cost or 0.0) / known if known else 0.0

    def _unknown_cost(self) -> LMError:
        return LMError(
            f"{lm_name(self._lm)} does not say what its answers cost, so a budget of {self._cost} US dollars cannot be "
            f"kept; tell the adapter its prices, or limit tokens instead"
        )


@attrs.frozen(eq=False)
class _Permit:
    """A request under way: the tokens reserved for it, and when it began."""

    tokens: int
    began: float


def budgeted(
    lm: BaseLM, *, seconds: float | None = None, tokens: float | None = None, cost: float | None = None
) -> Budgeted:
    """Refuse requests once those before them have used up a budget, whose limits hold for this object's lifetime.

    `tokens` are input and output. `seconds` is the sum of how long the requests took, each from its start until
    it was over, with whatever it waited for inside `lm`; requests that run at once each count. `cost` is in US
    dollars. Requests that fail, are cancelled, or lose a race count as well, estimated where it is not known.

    A request begins only if what is spent, what is reserved for the requests under way, and what it needs itself
    keep to the limits. Reserved are its input tokens, by the length of its text, and their price at the mean
    price so far, and the seconds that it has taken by now. So the limits are passed by no more than the requests
    under way turn out to use beyond that; limit how many run at once to keep it small. A request under way is
    never broken off, and a reservation is held until the request is really over, with its clean-up.

    Raises `LMError`, not retriable, which says the limit and what is spent, for a request that may not begin.
    With `cost`, the first answer whose cost is unknown is an `LMError` too, and so is every request after it,
    without being sent: a limit that cannot be kept must not seem to be. Raises `ValueError` without a limit, or
    for one that is not above 0. It counts within one process, and in one event loop at a time.
    """
    positive(seconds=seconds, tokens=tokens, cost=cost)
    return Budgeted(lm, seconds, tokens, cost)


def _tokens(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens


def _is_unpriced(usage: Usage) -> bool:
    return usage.requests > 0 and usage.cost is None


def _number(value: float) -> str:
    return f"{value:,.4f}".rstrip("0").rstrip(".")
