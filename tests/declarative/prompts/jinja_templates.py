"""Templates that Jinja2 and we both know, at random, and what Jinja2 makes of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dagflow.declarative.prompts.values import as_text

__all__ = ["VALUES", "of_jinja2", "templates"]

Texts = st.SearchStrategy[str]

VALUES: dict[str, Any] = {
    "s": "Some text",
    "t": "",
    "n": 7,
    "m": -2,
    "q": 2.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "xs": ["b", "a", "B", "c"],
    "ns": [3, 1, 2, 3],
    "d": {"key": "value", "inner": {"list": [1, 2]}},
    "ds": [{"name": "x", "rank": 2}, {"name": "y", "rank": 1}],
}


numbers: Texts = st.deferred(lambda: atoms_of_numbers | operations | filtered_numbers)
texts: Texts = st.deferred(lambda: atoms_of_texts | sums_of_texts | filtered_texts | choices_of_texts)
atoms_of_numbers: Texts = st.sampled_from(["n", "m", "q", "0", "3", "-1", "1.5", "ns[0]", "d.inner.list[1]", "ns[-1]"])
atoms_of_texts: Texts = st.sampled_from(
    ["s", "t", "'a\"b'", '"{{ s }}"', "xs[0]", "d.key", "d['key']", "s[2:5]", "s[::-1]"]
)
operations: Texts = st.builds("({} {} {})".format, atoms_of_numbers, st.sampled_from(["+", "-", "*"]), numbers)
filtered_numbers: Texts = (
    st.builds("({})|length".format, texts)
    | st.builds("({})|round(1)".format, numbers)
    | st.builds("({})|int".format, texts | numbers)
    | st.builds("({})|float".format, texts | numbers)
)
sums_of_texts: Texts = st.builds("({} + {})".format, atoms_of_texts, texts)
filtered_texts: Texts = st.builds(
    "({})|{}".format,
    texts,
    st.sampled_from(["upper", "lower", "trim", "replace('e', 'ee')", "replace('', '-')", "default('z')"]),
)
choices_of_texts: Texts = st.builds("({} if {} else {})".format, texts, st.deferred(lambda: conditions), texts)
conditions: Texts = st.deferred(
    lambda: (
        st.builds("({} {} {})".format, numbers, st.sampled_from(["<", ">", "==", "!=", "<=", ">="]), numbers)
        | st.builds("({} {} {})".format, texts, st.sampled_from(["<", "==", "in", "not in"]), texts)
        | st.builds("(not {})".format, conditions)
        | st.builds("({} {} {})".format, conditions, st.sampled_from(["and", "or"]), conditions)
        | st.sampled_from(["yes", "no", "t", "xs", "nothing is none", "q is number", "gone is defined", "'a' in xs"])
    )
)
lists: Texts = st.sampled_from(["xs", "ns", "xs|sort", "ns|sort(reverse=true)", "xs[1:]", "[n, s]", "[]", "d"])
outputs: Texts = st.builds("{{{{ {} }}}}".format, texts | numbers | conditions | lists.map("({})|length".format))
plain_texts: Texts = st.text(alphabet="ab {}\n\t%#'\"", max_size=6).filter(
    lambda text: not {"{{", "{%", "{#"} & pairs(text)
)
statements: Texts = st.deferred(lambda: plain_texts | outputs | ifs | fors)
bodies: Texts = st.lists(statements, max_size=3).map("".join)
ifs: Texts = st.builds(
    "{{% if {} %}}{}{{% elif {} %}}{}{{% else %}}{}{{% endif %}}".format, conditions, bodies, conditions, bodies, bodies
)
fors: Texts = st.builds(
    "{{%{} for {} in {} -%}}{}{}{{% else %}}{}{{% endfor %}}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["x", "s", "n"]),
    st.sampled_from(["xs", "xs|sort", "xs[1:]", "[s, t]", "[]", "d", "['a', 'b']"]),
    st.sampled_from(["{{ loop.index }}", "{{ loop.last }}", "{{ loop.revindex0 }}/{{ loop.length }}", ""]),
    bodies,
    bodies,
)


def pairs(text: str) -> set[str]:
    return {text[place : place + 2] for place in range(len(text))}


templates: Texts = st.lists(statements, max_size=5).map("".join)


def of_jinja2(text: str) -> str | None:
    """What Jinja2 itself writes, with values written as ours are; `None` where it cannot."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=as_text
    )
    try:
        return environment.from_string(text).render(VALUES)
    except Exception:
        return None
