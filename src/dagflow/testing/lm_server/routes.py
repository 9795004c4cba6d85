"""What a request asks for, or why it is refused, and its answer in the protocol of whoever asked. Pure."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.testing.lm_server import anthropic_replies, anthropic_requests, openai_replies, openai_requests
from dagflow.testing.lm_server.reply import Answer, ErrorReply, GarbageReply, RawReply, Reply
from dagflow.testing.lm_server.requests import Asked, HTTPRequest, Provider, read_json
from dagflow.testing.lm_server.wire import Encoded, garbage, raw

__all__ = ["MAX_BODY", "ask", "encode", "encode_models", "json_of", "provider_of"]

MAX_BODY = 16 * 1024 * 1024
"""Bytes of the largest body that the server reads."""

MODELS: dict[Provider, tuple[str, ...]] = {"openai": ("gpt-test",), "anthropic": ("claude-test",)}

PROVIDERS: dict[str, Provider] = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
METHODS = {"/v1/chat/completions": "POST", "/v1/messages": "POST", "/v1/models": "GET"}


def provider_of(request: HTTPRequest) -> Provider:
    """Say whose protocol a request speaks, by its path, and where both have that, by its headers."""
    if request.path in PROVIDERS:
        return PROVIDERS[request.path]
    return "anthropic" if "anthropic-version" in request.headers else "openai"


def json_of(request: HTTPRequest) -> Any:
    """Read the JSON of a request; `None` where it has no body, the exception where it is not JSON."""
    if not request.body:
        return None
    try:
        return read_json(request.body)
    except (ValueError, RecursionError) as error:
        return error


def ask(request: HTTPRequest, body: Any, api_key: str | None) -> Asked:
    """Read a request whose body is what `json_of` made of it.

    Raises `Refused` with the error that the service would answer with.
    """
    return ASK[provider_of(request)](request, body, api_key)


def encode(answer: Answer, provider: Provider, asked: Asked | None, request_id: str) -> Encoded:
    """Write an answer in the protocol of whoever asked."""
    if isinstance(answer, RawReply):
        return raw(answer)
    if isinstance(answer, GarbageReply):
        return garbage(answer)
    if isinstance(answer, Reply) and isinstance(answer.cut, ErrorReply) and not (asked and asked.stream):
        answer = answer.cut
    if isinstance(answer, ErrorReply):
        answer = _with_retry_after(answer)
        if provider == "anthropic":
            return anthropic_replies.encode_error(answer, request_id)
        return openai_replies.encode_error(answer)
    if not isinstance(answer, Reply) or asked is None:
        raise TypeError(f"the script answers with {answer!r}: give a Reply, or what one of its methods makes")
    if provider == "anthropic":
        return anthropic_replies.encode_reply(answer, asked)
    return openai_replies.encode_reply(answer, asked)


def encode_models(provider: Provider) -> Encoded:
    """List the models that there are; any other name does as well."""
    if provider == "anthropic":
        return anthropic_replies.encode_models(MODELS[provider])
    return openai_replies.encode_models(MODELS[provider])


def _with_retry_after(error: ErrorReply) -> ErrorReply:
    if error.retry_after is None:
        return error
    value = error.retry_after if isinstance(error.retry_after, str) else f"{error.retry_after:g}"
    return attrs.evolve(error, headers=(*error.headers, ("retry-after", value)))


def _ask_openai(request: HTTPRequest, body: Any, api_key: str | None) -> Asked:
    refuse = openai_requests.refuse
    _check_openai_key(request.headers.get("authorization", ""), api_key)
    method = METHODS.get(request.path)
    if method is None:
        refuse(f"Invalid URL ({request.method} {request.path})", status=404)
    if request.method != method:
        refuse(f"Not allowed to {request.method} on {request.path}.", status=405)
    if method == "GET":
        return Asked("openai", "models")
    if request.body is None:
        refuse(f"The request is larger than {MAX_BODY} bytes.", status=413, code="request_too_large")
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        refuse(f"Unsupported content type: '{kind}'. This API method only accepts 'application/json'.", status=415)
    if isinstance(body, Exception):
        refuse(f"We could not parse the JSON body of your request. ({body})")
    return openai_requests.read_completion(body)


def _check_openai_key(given: str, api_key: str | None) -> None:
    if api_key is None or given == f"Bearer {api_key}":
        return
    if not given.startswith("Bearer "):
        openai_requests.refuse(
            "You didn't provide an API key. You need to provide your API key in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            status=401,
        )
    openai_requests.refuse("Incorrect API key provided.", code="invalid_api_key", status=401)


def _ask_anthropic(request: HTTPRequest, body: Any, api_key: str | None) -> Asked:
    refuse = anthropic_requests.refuse
    anthropic_requests.check_key(request.headers, api_key)
    method = METHODS.get(request.path)
    if method is None:
        refuse("Not Found", status=404, type="not_found_error")
    if request.method != method:
        refuse("Method Not Allowed", status=405)
    version = anthropic_requests.check_version(request.headers)
    if method == "GET":
        return Asked("anthropic", "models")
    if request.body is None:
        refuse("Request exceeds the maximum size", status=413, type="request_too_large")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        refuse("Content-Type header must be application/json", status=415)
    if isinstance(body, Exception):
        refuse(f"The request body is not valid JSON: {body}")
    return anthropic_requests.read_message(body, version)


ASK = {"openai": _ask_openai, "anthropic": _ask_anthropic}
