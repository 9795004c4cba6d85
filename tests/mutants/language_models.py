"""Breaks of what language models, their backends and wrappers promise."""

from __future__ import annotations

from mutants.mutant import Mutant

MUTANTS = {
    "retry-where-right": Mutant(
        "only 408, 429 and 5xx are asked again",
        "lm/provider.py",
        "return reply.status in (408, 429) or reply.status >= 500",
        "return reply.status >= 400",
        "tests/lm/test_http_errors.py -k status_is_told",
    ),
    "cut-stream": Mutant(
        "a stream that broke off is no answer",
        "lm/provider.py",
        "if not decoder.ended:",
        "if False:",
        "tests/lm/test_http_errors.py -k ends_early",
    ),
    "length": Mutant(
        "an answer that was cut off is never taken",
        "lm/base.py",
        'if response.finish_reason == "length":',
        "if False:",
        "tests/lm/test_malformed.py -k length",
    ),
    "secret-mask": Mutant(
        "a key that a provider quotes is masked",
        "lm/provider.py",
        "said = mask(said, self.secrets)",
        "pass",
        "tests/lm/test_canary.py -k 'fails and OpenAIBackend'",
    ),
    "secret-request": Mutant(
        "an exception does not keep the key",
        "lm/http.py",
        "request.headers.pop(name, None)",
        "pass",
        "tests/lm/test_canary.py -k headers",
    ),
    "sockets": Mutant(
        "connections are closed with their run",
        "lm/http.py",
        "            await client.aclose()\n\n\n@functools.cache\ndef tls_context",
        "            pass\n\n\n@functools.cache\ndef tls_context",
        "tests/lm/test_http_errors.py -k connections_live",
    ),
    "losses": Mutant(
        "what was used for nothing is counted",
        "lm/billing.py",
        "            collecting.add(bill.usage)",
        "            pass",
        "tests/lm/test_billing.py",
    ),
    "tool-turns": Mutant(
        "turns of tools are bounded",
        "lm/tool_loop.py",
        "if turns == max_turns:",
        "if False:",
        "tests/lm/test_tools.py -k bounded",
    ),
    "hedge-loser": Mutant(
        "the loser of a race is cancelled",
        "lm/wrappers/hedge.py",
        "            group.cancel_scope.cancel()",
        "            pass",
        "tests/lm/test_wrappers_on_the_wire.py -k loser",
    ),
    "budget": Mutant(
        "a budget counts what is under way",
        "lm/wrappers/budget.py",
        "reserved = sum(permit.tokens for permit in self._permits)",
        "reserved = 0",
        "tests/lm/test_wrappers_budgeted.py",
    ),
}
