"""Jinja2 templates: what they can do, that they do it as Jinja2 does, and what is told where they cannot."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.filters import FILTERS, TESTS
from dagflow.declarative.prompts.jinja import parse_jinja
from declarative.prompts.jinja_templates import VALUES, of_jinja2, templates


def render(text: str, **values: Any) -> str:
    return parse_jinja(None, text).render(VALUES | values)[1]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{ s }}", "Some text"),
        (
            "{{ yes }} {{ nothing }} {{ xs }} {{ d }}",
            'true null ["b","a","B","c"] {"key":"value","inner":{"list":[1,2]}}',
        ),
        (
            "{{ d.key }} {{ d['key'] }} {{ d.inner.list[-1] }} {{ xs[1:] }} {{ s[:4] }}",
            'value value 2 ["a","B","c"] Some',
        ),
        (
            "{{ n + m }} {{ n - m }} {{ n * m }} {{ n / 2 }} {{ n // 2 }} {{ n % 4 }} {{ -n }} {{ +n }}",
            "5 9 -14 3.5 3 3 -7 7",
        ),
        ("{{ s + '!' }}", "Some text!"),
        ("{{ n > 3 and n < 9 }} {{ 1 < n <= 7 }} {{ not yes }} {{ t or 'empty' }}", "true true false empty"),
        ("{{ 'a' in xs }} {{ 'z' not in xs }} {{ 'key' in d }} {{ 'me t' in s }}", "true true true true"),
        ("{{ 'yes' if n else 'no' }}", "yes"),
        ("{% if n > 9 %}a{% elif n > 5 %}b{% else %}c{% endif %}", "b"),
        ("{% for x in xs %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "1b,2a,3B,4c"),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in ns if x > 1 %}{{ loop.index0 }}/{{ loop.length }}:{{ x }} {% endfor %}", "0/3:3 1/3:2 2/3:3 "),
        ("{% for key, value in d|items %}{{ key }};{% endfor %}", "key;inner;"),
        ("{% for key in d %}{{ key }};{% endfor %}", "key;inner;"),
        (
            "{% for x in ns %}{% for y in ns %}{{ loop.revindex }}{% endfor %}{{ loop.first }} {% endfor %}",
            "4321true 4321false 4321false 4321false ",
        ),
        ("{% for n in ns %}{{ n }}{% endfor %}{{ n }}", "31237"),
        ("{# a comment #}{% raw %}{{ s }}{% endraw %}", "{{ s }}"),
        ("a  {{- s -}}  b", "aSome textb"),
        ("{{ xs|join(', ') }} {{ ns|join }} {{ ds|join('/', attribute='name') }}", "b, a, B, c 3123 x/y"),
        ("{{ xs|length }} {{ s|length }} {{ d|length }}", "4 9 2"),
        ("{{ s|upper }} {{ s|lower }} {{ ' a '|trim }}", "SOME TEXT some text a"),
        ("{{ unknown|default('x') }} {{ t|default('y', true) }} {{ n|default(1) }}", "x y 7"),
        ("{{ xs|first }} {{ xs|last }} {{ s|first }}", "b c S"),
        ("{{ s|replace('e', '3') }}", "Som3 t3xt"),
        ("{{ q|round }} {{ 3.14159|round(2) }} {{ n|round }}", "2.0 3.14 7"),
        ("{{ '42'|int }} {{ '4.7'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ q|int }}", "42 4 0 -1 2"),
        ("{{ '4.5'|float }} {{ 'x'|float }} {{ n|float }}", "4.5 0.0 7.0"),
        ("{{ xs|sort }} {{ ns|sort(reverse=true) }}", '["a","b","B","c"] [3,3,2,1]'),
        ("{{ (ds|sort(attribute='rank'))[0].name }}", "y"),
        ("{{ xs|unique }} {{ ns|unique }}", '["b","a","c"] [3,1,2]'),
        ("{{ s|tojson }} {{ d|tojson }}", '"Some text" {"key":"value","inner":{"list":[1,2]}}'),
        ("{{ [1]|tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ s is string }} {{ n is number }} {{ xs is sequence }} {{ d is mapping }}", "true true true true"),
        ("{{ nothing is none }} {{ yes is true }} {{ unknown is defined }} {{ q is float }}", "true true false true"),
        ("{% if unknown is defined %}{{ unknown }}{% else %}-{% endif %}", "-"),
        ("{{ d.missing|default('x') }} {{ d.missing is undefined }} {{ xs[9] is defined }}", "x true false"),
        ("line\n{% if yes %}\n  {{ n }}\n{% endif %}\nend\n", "line\n  7\nend\n"),
        ("{{ true == 1 }} {{ 1 == 1.0 }} {{ [1] == [1] }} {{ '1' == 1 }}", "false true true false"),
    ],
)
def test_what_templates_do(text: str, written: str) -> None:
    """Every construct, filter and test, over values of JSON."""
    assert written == render(text)


def test_every_filter_and_test_is_shown_above() -> None:
    """The table of what templates do misses nothing."""
    marks: list[Any] = test_what_templates_do.pytestmark  # type: ignore[attr-defined]  # set by pytest's decorator
    shown = " ".join(text for text, _ in marks[0].args[1])
    assert [] == [name for name in FILTERS if f"|{name}" not in shown]
    assert {"boolean", "false", "integer", "undefined"} >= {name for name in TESTS if f"is {name}" not in shown}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\n{{ d.kye }}", "line 3: d.kye is not defined; did you mean 'key'?"),
        ("{{ d.inner.lst }}", "line 1: d.inner.lst is not defined; did you mean 'list'?"),
        ("{{ xs[10] }}", "line 1: xs[10] is not defined: there are 4 items"),
        ("{{ n.a }}", "line 1: n.a is not defined: it would be a key of a number"),
        ("{{ d.a.b }}", "line 1: d.a is not defined"),
        ("{{ []|first }}", "line 1: there is no first item"),
        ("{{ 'x' if no }}", "line 1: a value is given only `if` something holds, with no `else`"),
        ("{{ n / 0 }}", "line 1: `/` divides by zero"),
        ("{{ s + 1 }}", "line 1: `+` takes numbers, not a text"),
        ("{{ xs + xs }}", "line 1: `+` takes numbers, not a list"),
        ("{{ s < 1 }}", "line 1: `<` or `>` takes numbers, not a text"),
        ("{% for x in s %}{% endfor %}", "line 1: a loop goes through a list, or the keys of an object, not a text"),
        ("{% for a, b in ns %}{% endfor %}", "line 1: an item is not a list of 2, for a, b"),
        ("{{ xs|joni }}", "line 1: no filter is called 'joni' in prompts; did you mean 'join'?"),
        ("{{ xs|wordcount }}", "line 1: no filter is called 'wordcount' in prompts; there are default, first,"),
        ("{{ xs is strng }}", "line 1: no test is called 'strng' in prompts; did you mean 'string'?"),
        ("{{ n is divisibleby(2) }}", "line 1: no test is called 'divisibleby'"),
        ("{{ xs|join(1, 2, 3) }}", "line 1: the arguments of `join` do not fit; it takes separator, attribute"),
        ("{{ xs|join(sep=',') }}", "line 1: the arguments of `join` do not fit"),
        ("{{ s|upper(1) }}", "line 1: the arguments of `upper` do not fit; it takes nothing"),
        ("{{ n|upper }}", "line 1: `upper` takes a text, not a number"),
        ("{{ s|sort }}", "line 1: `sort` takes a list, not a text"),
        ("{{ [1, 'a']|sort }}", "line 1: `sort` takes texts or numbers, not both at once"),
        ("{{ ds|sort }}", "line 1: `sort` takes numbers, not an object"),
        ("{{ xs|items }}", "line 1: `items` takes an object, not a list"),
        ("{{ n|length }}", "line 1: `length` takes a list, an object or a text, not a number"),
        ("{{ xs|tojson(indent='x') }}", "line 1: `tojson` takes an indent from 0 to 8"),
        ("{{ xs['a':] }}", "line 1: xs[...]: the bounds of a part are whole numbers"),
        ("{{ 1 in n }}", "line 1: `in` looks into a list, an object or a text, not into a number"),
        ("{{ d.items() }}", "line 1: nothing can be called in a prompt; there are filters instead"),
        ("a\n{% if n %}\n{{ n | }}", "line 3: "),
        ("{% if n %}", "line 1: Unexpected end of template"),
        ("{% for x in xs if loop.first %}{% endfor %}", "line 1: `loop` cannot be used in the condition of its own"),
        ("{% for loop in xs %}{% endfor %}", "line 1: a loop cannot give a value to `loop`"),
        ("{% for (a, (b, c)) in xs %}{% endfor %}", "line 1: a loop takes items apart into names, and no further"),
    ],
)
def test_what_is_told(text: str, told: str) -> None:
    """The line, what is wrong, and what there is instead."""
    with pytest.raises(PromptError) as found:
        render(text)
    (fault,) = found.value.invalid
    assert "$.user" == fault.path
    assert fault.problem.startswith(told), fault.problem


def test_what_a_template_needs() -> None:
    """A name that the text tests for, or has a default for, may be left out; any other must be given."""
    text = parse_jinja(
        "{{ role|default('You help.') }}",
        "{% for item in items %}{{ item }}{{ loop.index }}{% endfor %}{{ item }}"
        "{% if extra is defined %}{{ extra }}{% endif %}",
    )
    assert frozenset({"items", "item"}) == text.names
    assert frozenset({"role", "extra"}) == text.optional
    assert frozenset({"other"}) == text.unknown({"role", "items", "other"})
    with pytest.raises(PromptError, match=r"\$\.variables\.items: missing"):
        text.render({"item": 1})
    assert ("You help.", "a1x") == text.render({"items": ["a"], "item": "x"})


def test_a_name_that_is_guarded_in_one_text_is_needed_in_the_other() -> None:
    """A test in the system text does not guard the user text."""
    assert frozenset({"a"}) == parse_jinja("{{ a|default('') }}", "{{ a }}").names


def test_only_declared_names_may_be_used() -> None:
    """A misspelt variable is found when the prompt is loaded, with the nearest name."""
    with pytest.raises(PromptError) as found:
        parse_jinja("{{ a }}", "{{ topci }}{{ b }}{% for x in a %}{{ x }}{% endfor %}", ["topic", "a"])
    assert [
        "$.user: 'b' is not among the `variables` of the prompt",
        "$.user: 'topci' is not among the `variables` of the prompt; did you mean 'topic'?",
    ] == [str(item) for item in found.value.invalid]


def test_all_faults_are_told_at_once() -> None:
    """Each text is read to its end."""
    with pytest.raises(PromptError) as found:
        parse_jinja("{{ a() }}\n{{ b.__x__ }}", "{% set c = 1 %}{{ d|nope }}")
    assert ["$.system", "$.system", "$.user", "$.user"] == [item.path for item in found.value.invalid]


def test_values_are_not_changed_and_have_no_say() -> None:
    """A template sees copies of nothing but JSON: no method or property of a value is ever called."""

    class Trap(dict[str, Any]):
        def __getattribute__(self, name: str) -> Any:
            if name == "secret":
                raise AssertionError("an attribute was read")
            return super().__getattribute__(name)

    with pytest.raises(PromptError, match="v.secret is not defined"):
        parse_jinja(None, "{{ v.secret }}").render({"v": Trap(a=1)})
    given: dict[str, Any] = {"v": [3, 1, 2]}
    assert "[1,2,3]" == parse_jinja(None, "{{ v|sort }}").render(given)[1]
    assert {"v": [3, 1, 2]} == given


def test_a_prompt_is_rendered_any_number_of_times() -> None:
    """Nothing is left of one rendering in the next."""
    text = parse_jinja(None, "{% for x in xs %}{{ x }}{% endfor %}")
    assert ["12", "", "3"] == [text.render({"xs": xs})[1] for xs in ([1, 2], [], [3])]


def test_the_steps_of_both_texts_count_together() -> None:
    """A prompt is one piece of work, be it in two texts."""
    loops = "{% for a in xs %}{% for b in xs %}.{% endfor %}{% endfor %}"
    values = {"xs": list(range(180))}
    assert 180 * 180 == len(parse_jinja(None, loops).render(values)[1])
    with pytest.raises(PromptError, match=r"\$\.user: line 1: the template does too much"):
        parse_jinja(loops, loops).render(values)


def test_a_real_prompt_has_room() -> None:
    """A loop over thousands of long texts is well within the bounds."""
    documents = [{"title": f"Document {number}", "text": "text " * 100} for number in range(3000)]
    text = parse_jinja(
        None, "{% for d in documents %}\n{{ loop.index }}. {{ d.title|upper }}: {{ d.text }}\n{% endfor %}"
    )
    written = text.render({"documents": documents})[1]
    assert written.startswith("1. DOCUMENT 0: text ")
    assert 3000 == written.count("\n")


@pytest.mark.slow
def test_without_jinja2_the_extra_is_named() -> None:
    """Prompts in braces work without Jinja2; a template says what to install."""
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from dagflow.declarative.model import PromptSpec\n"
        "from dagflow.declarative.prompts.files import prompt_of\n"
        "print(prompt_of(PromptSpec(user='{a}'), name='p').render({'a': 1}))\n"
        "prompt_of(PromptSpec(user='{{ a }}', template='jinja2'), name='p')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "('', '1')" == told.stdout.strip()
    assert "needs Jinja2: pip install 'dagflow[jinja]'" in told.stderr


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(templates)
def test_templates_come_out_as_jinja2_writes_them(text: str) -> None:
    """Whatever both can render they render alike, and what Jinja2 cannot is refused."""
    try:
        found = parse_jinja(None, text).render(VALUES)[1]
    except PromptError as error:
        found = None
        if of_jinja2(text) is not None:
            assert "takes numbers, not a text" in str(error), text
    if found is not None:
        assert of_jinja2(text) == found
