"""Texts that attack a template engine, used as templates and as values that are put into one."""

from __future__ import annotations

from typing import Any, Final

import attrs

__all__ = ["IN_BRACES", "LARGE", "PAYLOADS", "VALUES", "Payload"]


@attrs.frozen
class Payload:
    """A text, and what a Jinja2 template of it says when it is refused; `None` where the text comes out as it is."""

    name: str
    text: str
    refused: str | None


def nested(opening: str, inner: str, closing: str, times: int) -> str:
    return opening * times + inner + closing * times


VALUES: Final[dict[str, Any]] = {
    "x": list(range(300)),
    "s": "<" * 2000,
    "d": {"a": {"b": 1}, "items": "mine"},
    "n": 7,
    "deep": [[[["x"]]]],
}
"""What the templates may use."""

UNDERSCORE = "no name that begins with `_` can be read"
CALL = "nothing can be called in a prompt"
TOO_MUCH = "the template does too much"
TOO_DEEP = "more than 64 levels deep"
TOO_LONG = "a text of more than 4194304 characters|longer than 4194304 characters"
EITHER = f"{TOO_MUCH}|{TOO_LONG}"
TOO_LARGE = "a number becomes too large"
NOT_THERE = "is not available in prompts"
MISSING = "missing; the prompt uses it"

PAYLOADS: Final = (
    # Ways out of the sandbox, by attributes
    Payload("mro", "{{ ''.__class__.__mro__ }}", UNDERSCORE),
    Payload("subclasses", "{{ ''.__class__.__mro__[1].__subclasses__() }}", CALL),
    Payload("class_by_item", "{{ ''['__class__'] }}", "would be a key of a text"),
    Payload("class_by_parts", "{{ s['__cl' + 'ass__'] }}", "would be a key of a text"),
    Payload("class_by_escape", '{{ s["\\x5f\\x5fclass\\x5f\\x5f"] }}', "would be a key of a text"),
    Payload("class_by_unicode", '{{ s["\\u005f\\u005fclass__"] }}', "would be a key of a text"),
    Payload("of_a_number", "{{ n.__class__ }}", UNDERSCORE),
    Payload("real", "{{ n.real }}", "would be a key of a number"),
    Payload("of_a_dict", "{{ d.__init__ }}", UNDERSCORE),
    Payload("cycler", "{{ cycler.__init__.__globals__.os.popen('id').read() }}", CALL),
    Payload("globals", "{{ lipsum.__globals__ }}", UNDERSCORE),
    Payload("joiner", "{{ joiner.__init__ }}", UNDERSCORE),
    Payload("namespace", "{{ namespace.__init__ }}", UNDERSCORE),
    Payload("config", "{{ config }}", MISSING),
    Payload("self", "{{ self }}", MISSING),
    Payload("self_init", "{{ self.__init__ }}", UNDERSCORE),
    Payload("environment", "{{ self._TemplateReference__context }}", UNDERSCORE),
    Payload("request", "{{ request.application.__globals__ }}", UNDERSCORE),
    Payload("builtins", "{{ x.__getitem__.__self__ }}", UNDERSCORE),
    Payload("attr_filter", "{{ s|attr('__class__') }}", "no filter is called 'attr'"),
    Payload("attr_of_items", "{{ x|map(attribute='__class__')|list }}", "no filter is called"),
    Payload("sort_attribute", "{{ [d]|sort(attribute='__class__') }}", "'__class__' of an item is not defined"),
    Payload("join_attribute", "{{ [s]|join('', attribute='__class__') }}", "would be a key of a text"),
    Payload("selectattr", "{{ x|selectattr('__class__') }}", "no filter is called"),
    Payload("groupby", "{{ x|groupby('__class__') }}", "no filter is called"),
    Payload("loop_internals", "{% for a in x %}{{ loop.__init__ }}{% endfor %}", UNDERSCORE),
    Payload("loop_call", "{% for a in x %}{{ loop(x) }}{% endfor %}", CALL),
    Payload("loop_cycle", "{% for a in x %}{{ loop.cycle('a', 'b') }}{% endfor %}", CALL),
    # Methods
    Payload("items_method", "{{ d.items() }}", CALL),
    Payload("mutation", "{{ x.append(1) }}", CALL),
    Payload("clear", "{{ d.clear() }}", CALL),
    Payload("method_as_value", "{{ s.upper }}", "would be a key of a text"),
    Payload("str_format", "{{ '{0.__class__}'.format(s) }}", CALL),
    Payload("format_map", "{{ '{s.__class__}'.format_map(d) }}", CALL),
    Payload("format_filter", "{{ '%s'|format(s) }}", "no filter is called 'format'"),
    Payload("format_sign", "{{ '%999999999s' % 'a' }}", "takes numbers, not a text"),
    Payload("center", "{{ 'a'|center(10**9) }}", "no filter is called 'center'"),
    Payload("range", "{{ range(10**9) }}", CALL),
    Payload("range_in_loop", "{% for a in range(1000000000) %}a{% endfor %}", CALL),
    Payload("lipsum", "{{ lipsum(n=1000000) }}", CALL),
    Payload("dict_call", "{{ dict(a=1) }}", CALL),
    Payload("starred", "{{ s|join(*x) }}", "the arguments of `join` do not fit"),
    # Tags
    Payload("include", "{% include '/etc/passwd' %}", NOT_THERE),
    Payload("import", "{% import 'os' as os %}", NOT_THERE),
    Payload("from_import", "{% from 'os' import system %}", NOT_THERE),
    Payload("extends", "{% extends 'base' %}", NOT_THERE),
    Payload("block", "{% block a %}{{ super() }}{% endblock %}", NOT_THERE),
    Payload("macro", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", NOT_THERE),
    Payload("call_block", "{% call a() %}x{% endcall %}", NOT_THERE),
    Payload("filter_block", "{% filter upper %}x{% endfilter %}", NOT_THERE),
    Payload("set", "{% set a = s + s %}{{ a }}", NOT_THERE),
    Payload("set_in_loop", "{% set a = s %}{% for i in x %}{% set a = a + a %}{% endfor %}", NOT_THERE),
    Payload("set_namespace", "{% set ns = namespace(a=1) %}{% set ns.a = 2 %}", "NSRef|not available"),
    Payload("set_block", "{% set a %}x{% endset %}", NOT_THERE),
    Payload("with", "{% with a = s %}{{ a }}{% endwith %}", NOT_THERE),
    Payload("autoescape", "{% autoescape true %}{{ s }}{% endautoescape %}", NOT_THERE),
    Payload("do", "{% do x.append(1) %}", "unknown tag 'do'"),
    Payload("debug", "{% debug %}", "unknown tag 'debug'"),
    Payload("recursive", "{% for a in deep recursive %}{{ loop(a) }}{% endfor %}", "cannot be recursive"),
    Payload("break", "{% for a in x %}{% break %}{% endfor %}", "unknown tag 'break'"),
    Payload("unclosed", "{% for a in x %}", "Unexpected end of template"),
    Payload("unclosed_braces", "{{ s", "unexpected end of template"),
    Payload("nothing", "{{ }}", "Expected an expression"),
    # Time and memory
    Payload("repeat_text", "{{ 'a' * 10 }}", "takes numbers, not a text"),
    Payload("repeat_list", "{{ x * 1000000 }}", "takes numbers, not a list"),
    Payload("power", "{{ 9 ** 9 ** 9 }}", NOT_THERE),
    Payload("powers", "{{ 10**10**10 }}", NOT_THERE),
    Payload("shift_by_product", "{{ " + "*".join(["99999999999"] * 40) + " }}", TOO_LARGE),
    Payload("float_to_infinity", "{{ 1e308 * 10 }}", TOO_LARGE),
    Payload("infinity", "{{ 1e999 }}", "a number is too large"),
    Payload("huge_integer", "{{ " + "9" * 200 + " }}", "a number is too large"),
    Payload("longest_integer", "{{ " + "9" * 5000 + " }}", "Jinja2 cannot read the template"),
    Payload("negative_round", "{{ 5|round(-1000000000) }}", "from 0 to 20"),
    Payload("concat", "{{ s ~ s }}", NOT_THERE),
    Payload("wide_json", "{{ x|tojson(indent=1000000) }}", "from 0 to 8"),
    Payload("loops", nested("{% for a in x %}", "y", "{% endfor %}", 5), TOO_MUCH),
    Payload("loops_of_nothing", nested("{% for a in x %}", "", "{% endfor %}", 5), TOO_MUCH),
    Payload("loops_of_output", nested("{% for a in x %}", "{{ s }}", "{% endfor %}", 2), TOO_LONG),
    Payload("loops_of_comments", "{% for a in x %}{% for b in x %}" + "a{# #}" * 500 + "{% endfor %}" * 2, TOO_MUCH),
    Payload(
        "loops_of_conditions",
        "{% for a in x %}{% for b in x if a in x and b in x %}{% endfor %}" * 1 + "{% endfor %}",
        TOO_MUCH,
    ),
    Payload(
        "laughs_of_lists",
        "{% for a in [s] %}" + nested("{% for a in [[a, a]] %}", "{{ a }}", "{% endfor %}", 40) + "{% endfor %}",
        TOO_MUCH,
    ),
    Payload("laughs_of_texts", nested("{% for s in [s + s] %}", "{{ s }}", "{% endfor %}", 40), EITHER),
    Payload("laughs_of_joins", nested("{% for s in [[s, s, s, s]|join] %}", "{{ s }}", "{% endfor %}", 20), EITHER),
    Payload(
        "laughs_of_replacements",
        nested("{% for s in [s|replace('<', '<<')] %}", "{{ s }}", "{% endfor %}", 30),
        EITHER,
    ),
    Payload("laughs_of_json", "{{ '\\\\'" + "|tojson" * 50 + " }}", EITHER),
    Payload("replace_with_itself", "{{ s|replace('<', s)|replace('<', s) }}", "longer|too much|" + EITHER),
    Payload("sorting", "{% for a in x %}{% for b in x|sort %}{% endfor %}{% endfor %}", TOO_MUCH),
    Payload("comparing", "{% for a in x %}{{ x == x and x == x }}{% endfor %}", TOO_MUCH),
    # Depth and length
    Payload("brackets", "{{ " + "(" * 5000, TOO_DEEP),
    Payload("lists", "{{ " + nested("[", "1", "]", 2000) + " }}", TOO_DEEP),
    Payload("dicts", "{{ " + nested("{1:", "1", "}", 2000) + " }}", TOO_DEEP),
    Payload("nots", "{{ " + "not " * 3000 + "n }}", TOO_DEEP),
    Payload("minuses", "{{ " + "-" * 3000 + "n }}", TOO_DEEP),
    Payload("sums", "{{ " + "n+" * 1500 + "n }}", TOO_DEEP),
    Payload("ands", "{{ " + "n and " * 1500 + "n }}", TOO_DEEP),
    Payload("fields", "{{ d" + ".a" * 1500 + " }}", TOO_DEEP),
    Payload("indexes", "{{ d" + "[0]" * 1000 + " }}", TOO_DEEP),
    Payload("filters", "{{ s" + "|trim" * 1500 + " }}", TOO_DEEP),
    Payload("conditions", "{{ " + "n if n else " * 1000 + "n }}", TOO_DEEP),
    Payload("ifs", nested("{% if n %}", "x", "{% endif %}", 500), TOO_DEEP),
    Payload("fors", nested("{% for a in x %}", "x", "{% endfor %}", 500), TOO_DEEP),
    Payload("many_tokens", "{{ n }}" * 10_000, "more than 4000 words"),
    Payload("long_name", "{{ " + "a" * 100_000 + " }}", MISSING),
    Payload("too_long", "a" * 300_000 + "{{ n }}", "longer than 262144 characters"),
    Payload("open_text", "{{ '" + "a" * 200_000, "unexpected char"),
    Payload("open_comment", "{#" + "a" * 200_000, "Missing end of comment tag"),
    Payload("open_raw", "{% raw %}" + "{{ n }}" * 10_000, "Missing end of raw"),
    Payload("surrogate", "{{ '\\ud800' }}", "a lone surrogate"),
    # What means something elsewhere
    Payload("percent", "%(s)s %s %999999999d %n", None),
    Payload("python_format", "{s.__class__} {0} {!r} {s:>1000000000} {s!a}", None),
    Payload("shell", "$(id) `id` ${IFS} $s", None),
    Payload("raw_end", "endraw %} {% ", "tag name expected|Unexpected end"),
    Payload("erb", "<%= 7*7 %> #{7*7} ${7*7} *{7*7}", None),
    Payload("yaml", "!!python/object/apply:os.system ['id']", None),
    Payload("nul", "a\0b", None),
    Payload("bidi", "\u202e{ n }\u2066", None),
    Payload("fullwidth", "\uff5b\uff5b n \uff5d\uff5d", None),
    Payload("zero_width", "{\u200b{ n }\u200b}", None),
)
"""Each is refused as a Jinja2 template when it is read or rendered with `VALUES`, or comes out as it is."""

IN_BRACES: Final = (
    "{topic.__class__}",
    "{topic!r}",
    "{topic:>1000000000}",
    "{topic[0]}",
    "{0}",
    "{}",
    "{ topic }",
    "{topic",
    "topic}",
    "{{ topic.__class__ }}",
    "{{ topic|upper }}",
    "{{ topic() }}",
    "{{ 'topic' }}",
    "{{ topic",
    "{{\ntopic\n}}",
    "{% if topic %}{% endif %}",
    "{# topic #}",
    "{__class__}",
    "{{ __builtins__ }}",
    "%(topic)s $topic",
    "{\u200btopic}",
    "{top\u0131c}",
)
"""In a prompt that declares `topic`, with variables in braces, each of these is text."""

LARGE: Final = (
    "{" * 300_000,
    "{{" + " " * 300_000,
    "{{ " * 100_000,
    "{{ a" * 75_000,
    "{{" + "a" * 300_000,
    "{a" * 150_000,
    "}}" * 150_000,
    "{{ " + "a " * 150_000 + "}}",
)
"""Long texts, which a careless search for braces would go through again and again."""
