"""What expressions give: a table of them over one state, and what else the language promises."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import attrs
import pytest

from dagflow.declarative.expressions import FUNCTIONS, Expression, ExpressionError, Scope, parse_expression
from declarative.expressions.scopes import SCOPE, STATE, Grade, Size, View, Word

VALUES: dict[str, list[tuple[str, Any]]] = {
    "literals": [
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("2.5E-1", 0.25),
        ("1e+2", 100.0),
        ("true", True),
        ("True", True),
        ("false", False),
        ("False", False),
        ("null", None),
        ("None", None),
        ("''", ""),
        ('""', ""),
        ("'it is \"it\"'", 'it is "it"'),
        ('"it\'s"', "it's"),
        (r"'it\'s'", "it's"),
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (r'"\u00e9\u20AC"', "é€"),
        (r'"\ud83d\ude00"', "😀"),
        ('"😀 größe {x} }} {{"', "😀 größe {x} }} {{"),
        ("[]", []),
        ("[1, 'a', [true]]", [1, "a", [True]]),
        (" \t\r\n 1 \n", 1),
        (str(2**4096 - 1), 2**4096 - 1),
    ],
    "names": [
        ("i", 3),
        ("state.i", 3),
        ("state['i']", 3),
        ("state", STATE),
        ("item.name", "first"),
        ("shadowed", "local"),
        ("state.shadowed", "state"),
        ("len", "a key that is named like a function"),
        ("len(len)", 35),
    ],
    "paths": [
        ("grade.score", 0.5),
        ("grade['score']", 0.5),
        ("grade.size", Size.SMALL),
        ("point.x", 1),
        ("route.from", "START"),
        ("route.from_", "START"),
        ("table.a", 1),
        ("table['b-c']", 2),
        ("table['größe']", 3),
        ("table._low", 4),
        ("table['__dunder__']", 5),
        ("view.inner", 7),
        ("deep.list[1].k", "w"),
        ("deep . list [ 0 ] . k", "v"),
        ("items[0]", 10),
        ("items[-1]", 30),
        ("items[i - 1]", 30),
        ("pair[1]", 2),
        ("name[0]", "A"),
        ("name[-1]", "a"),
        ("table[words[1]]", 1),
        ("table[item.name] if false else 0", 0),
        ("(grade if not done else nothing).score", 0.5),
        ("[1, 2][1]", 2),
        ("split('a,b', ',')[1]", "b"),
        ("'abc'[1]", "b"),
        ("items[level]", 30),
    ],
    "arithmetic": [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("2 * 3 / 4", 1.5),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 % 3", 1),
        ("-7 % 3", 2),
        ("7.5 % 2", 1.5),
        ("7 / 7", 1.0),
        ("-i", -3),
        ("--i", 3),
        ("-(1 + 2)", -3),
        ("2 * -3", -6),
        ("1 - -1", 2),
        ("-i * 2", -6),
        ("i + ratio", 3.5),
        ("level + 1", 3),
        ("level * 2", 4),
        ("'a' + 'b'", "ab"),
        ("word + '!'", "Word!"),
        ("[1] + [2] + []", [1, 2]),
        ("pair + [3]", [1, 2, 3]),
        ("+".join("1" * 3000), 3000),
    ],
    "comparisons": [
        ("1 < 2", True),
        ("2 <= 2", True),
        ("1 > 2", False),
        ("2 >= 3", False),
        ("1 < 2.5", True),
        ("'a' < 'b'", True),
        ("word > 'W'", True),
        ("level < 3", True),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("3 < 2 < 'never compared'", False),
        ("0 <= i <= 5", True),
        ("1 == 1.0", True),
        ("1 != 1.0", False),
        ("1 == '1'", False),
        ("true == 1", False),
        ("[true] == [1]", False),
        ("false == 0", False),
        ("null == nothing", True),
        ("null == false", False),
        ("pair == [1, 2]", True),
        ("[1, [2]] == [1, [2]]", True),
        ("[1, 2] == [1]", False),
        ("[1] == 1", False),
        ("view == view", True),
        ("table == deep", False),
        ("grade == grade", True),
        ("grade == 1", False),
        ("size == 'large'", True),
        ("grade.size != 'small'", False),
        ("level == 2", True),
        ("word == 'Word'", True),
        ("1 == 1 == 1", True),
    ],
    "membership": [
        ("20 in items", True),
        ("5 not in items", True),
        ("true in [1]", False),
        ("[1] in [[1]]", True),
        ("'n' in name", True),
        ("'' in name", True),
        ("'a' in table", True),
        ("1 in table", False),
        ("'inner' in view", True),
        ("'score' in grade", True),
        ("'method' in grade", False),
        ("1 in grade", False),
        ("'a' in tags", True),
        ("size in ['small', 'large']", True),
        ("not 5 in items", True),
    ],
    "logic": [
        ("1 and 2", 2),
        ("0 and 2", 0),
        ("0 or 'x'", "x"),
        ("'' or [] or null", None),
        ("1 and 'a' and 2", 2),
        ("1 or missing", 1),
        ("0 and missing", 0),
        ("not 0", True),
        ("not not 'x'", True),
        ("not i == 4", True),
        ("1 or 0 and 0", 1),
        ("(1 or 0) and 0", 0),
        ("not done and i < 5", True),
        ("1 if done else 2", 2),
        ("1 if 0 else 2 if 0 else 3", 3),
        ("missing if done else 2", 2),
        ("(1 if i else 2) + 1", 2),
        ("1 + 1 if i else 2", 2),
        ("grade and 1", 1),
    ],
    "functions": [
        ("len(items)", 3),
        ("len(table)", 5),
        ("len(tags)", 2),
        ("len('😀')", 1),
        ("str(1.5)", "1.5"),
        ("str(done)", "false"),
        ("str(name)", "Ana"),
        ("str(items)", "[10,20,30]"),
        ("str(route)", '{"from":"START","to":"END"}'),
        ("int(2.9)", 2),
        ("int(-2.9)", -2),
        ("int(' -12 ')", -12),
        ("float(2)", 2.0),
        ("float('1e2')", 100.0),
        ("round(2.5)", 2),
        ("round(3.14159, 2)", 3.14),
        ("round(1234, -2)", 1200),
        ("abs(-3)", 3),
        ("min(3, 1, 2)", 1),
        ("min(items)", 10),
        ("max('a', 'b')", "b"),
        ("max(items)", 30),
        ("max([1, 2.5])", 2.5),
        ("min([7])", 7),
        ("sum(items)", 60),
        ("sum([])", 0),
        ("sum([1, 0.5])", 1.5),
        ("lower('ÄB')", "äb"),
        ("upper('äß')", "ÄSS"),
        ("lower(size)", "large"),
        ("strip('  a b\n ')".replace("\n", r"\n"), "a b"),
        ("split(' a  b ')", ["a", "b"]),
        ("split('a,,b', ',')", ["a", "", "b"]),
        ("split('', ',')", [""]),
        ("split('a', null)", ["a"]),
        ("join(words)", "bac"),
        ("join(words, ', ')", "b, a, c"),
        ("join([1, true, null, 'x'], '-')", "1-true-null-x"),
        ("startswith(name, 'A')", True),
        ("endswith(name, 'A')", False),
        ("keys(view)", ["inner"]),
        ("values(view)", [7]),
        ("keys(grade)", ["score", "reason", "size"]),
        ("keys(route)", ["from", "to"]),
        ("values(point)", [1, 2]),
        ("default(i, 9)", 3),
        ("default(missing, 9)", 9),
        ("default(missing.much.deeper, 9)", 9),
        ("default(nothing, 9)", 9),
        ("default(nothing.part, 9)", 9),
        ("default(grade.scor, 9)", 9),
        ("default(items[3], 9)", 9),
        ("default(table[name], 9)", 9),
        ("default(done, 9)", False),
        ("default(i, missing)", 3),
        ("default(missing, default(nothing, 'x'))", "x"),
        ("exists(i)", True),
        ("exists(nothing)", False),
        ("exists(missing)", False),
        ("exists(state.grade.score)", True),
        ("exists(grade.method)", False),
        ("exists(done)", True),
        ("not exists(items[9]) and exists(items[0])", True),
    ],
}


@pytest.mark.parametrize(("source", "expected"), [case for cases in VALUES.values() for case in cases])
@pytest.mark.parametrize("state", [STATE, View(STATE)], ids=["dict", "view"])
def test_an_expression_gives_its_value(source: str, expected: Any, state: Any) -> None:
    """Each expression of the table gives its value, of its type, whatever mapping the state is."""
    found = parse_expression(source).evaluate(Scope(state, SCOPE.locals))
    assert expected == (dict(found) if found is state else found)
    assert found is state or type(expected) is type(found)


def test_every_function_is_in_the_table_of_values() -> None:
    """No function is left untried, and each says what it takes and gives."""
    tried = {name for name in FUNCTIONS for source, _ in VALUES["functions"] if f"{name}(" in source}
    assert set(FUNCTIONS) == tried
    assert 20 == len(FUNCTIONS)
    assert [] == [function for function in FUNCTIONS.values() if not function.gives.endswith(".")]
    assert "split(text, separator?)" == FUNCTIONS["split"].signature


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("1 + 2", []),
        ("grade.score < 0.8", [("grade", "score")]),
        ("state.grade.score", [("state", "grade", "score")]),
        ("state['grade']['score']", [("state", "grade", "score")]),
        ("a.b + a.b + a.c", [("a", "b"), ("a", "c")]),
        ("items[0].name", [("items",)]),
        ("table[kind].name", [("table",), ("kind",)]),
        ("default(a.b, c) and exists(d.e)", [("a", "b"), ("c",), ("d", "e")]),
        ("[x, [y]]", [("x",), ("y",)]),
        ("len(a) if b else -c", [("b",), ("a",), ("c",)]),
        ("not a in b < c", [("a",), ("b",), ("c",)]),
        ("(a or b).c", [("a",), ("b",)]),
    ],
)
def test_the_paths_of_an_expression_are_known(source: str, paths: list[tuple[str, ...]]) -> None:
    """What an expression reads is told before it is evaluated, each path once, up to what is computed."""
    assert tuple(paths) == parse_expression(source).paths


def test_an_expression_is_a_value() -> None:
    """Expressions of one text are equal, and show the text."""
    expression = parse_expression("i + 1")
    assert parse_expression("i + 1") == expression
    assert parse_expression("i+1") != expression
    assert "Expression(source='i + 1', paths=(('i',),))" == repr(expression)
    assert isinstance(hash(expression), int)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        expression.source = "i"  # type: ignore[misc]


def test_a_local_name_hides_a_key_of_the_state_and_the_state_itself() -> None:
    """Names are looked for among the locals, then `state` is the state, then they are keys of it."""
    state = {"state": {"x": 1}, "x": 2}
    assert {"x": 1} == parse_expression("state.state").evaluate(Scope(state))
    assert 2 == parse_expression("state.x").evaluate(Scope(state))
    assert 3 == parse_expression("state.x").evaluate(Scope(state, {"state": {"x": 3}}))
    assert 4 == parse_expression("x").evaluate(Scope(state, {"x": 4}))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": 1, "b": [True]}, {"b": [True], "a": 1.0}, True),
        ({"a": 1}, View({"a": 1}), True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": {"b": (1, Size.LARGE)}}, {"a": {"b": [1, "large"]}}, True),
        ([Grade(0.5)], [Grade(0.5)], True),
        ([Grade(0.5)], [Grade(0.6)], False),
        (Word("a"), "a", True),
        ({1, 2}, {2, 1}, True),
        (float("nan"), float("nan"), False),
    ],
)
def test_values_are_compared_by_what_they_hold(left: Any, right: Any, expected: bool) -> None:
    """Objects are equal by keys and values, at every depth, whatever mappings they are."""
    scope = Scope({"left": left, "right": right})
    assert expected is parse_expression("left == right").evaluate(scope)
    assert expected is not parse_expression("left != right").evaluate(scope)
    assert expected is parse_expression("left in [right]").evaluate(scope)


def test_what_is_read_is_not_copied() -> None:
    """A path gives the very value that the state holds."""
    assert STATE["deep"]["list"] is parse_expression("deep.list").evaluate(SCOPE)
    assert STATE is parse_expression("state").evaluate(SCOPE)


def test_what_is_joined_is_new() -> None:
    """`+` never changes an array of the state."""
    state = {"a": [1], "b": [2]}
    assert [1, 2] == parse_expression("a + b").evaluate(Scope(state))
    assert [1] == parse_expression("a + []").evaluate(Scope(state))
    assert parse_expression("a + []").evaluate(Scope(state)) is not state["a"]
    assert {"a": [1], "b": [2]} == state


def test_reading_changes_nothing() -> None:
    """A missing key of a mapping that makes its values on demand is missing, and is not made."""
    state: Any = {"found": defaultdict(list)}
    assert 0 == parse_expression("default(found.x, 0)").evaluate(Scope(state))
    with pytest.raises(ExpressionError, match="`found` has no keys"):
        parse_expression("found.x").evaluate(Scope(state))
    assert {} == state["found"]


def test_a_long_value_of_the_state_can_be_read() -> None:
    """The bounds hold for what expressions make, not for what they read."""
    state = {"text": "x" * (2 << 20), "items": [1] * 200_000, "number": 1 << 5000}
    for name, value in state.items():
        assert value is parse_expression(name).evaluate(Scope(state))
    assert 200_000 == parse_expression("len(items)").evaluate(Scope(state))
    assert parse_expression("startswith(text, 'xx')").evaluate(Scope(state))
    assert 1 << 5000 == parse_expression("max(number, 1)").evaluate(Scope(state))


def test_string_and_number_subclasses_count_as_what_they_are() -> None:
    """An enum member is compared and computed with as what it is in JSON; a string subclass gives plain strings."""
    assert str is type(parse_expression("word + ''").evaluate(SCOPE))
    assert Word is type(parse_expression("word").evaluate(SCOPE))
    assert 1 == parse_expression("table[grade.size + '']").evaluate(Scope({"table": {"small": 1}, "grade": Grade(1.0)}))
    assert 1 == parse_expression("table[grade.size]").evaluate(Scope({"table": {"small": 1}, "grade": Grade(1.0)}))


def test_each_part_is_evaluated_once() -> None:
    """The middle of a chained comparison is computed once, and what is decided already not at all."""
    reads: list[str] = []

    class Counting(View):
        def get(self, key: str, default: Any = None) -> Any:
            reads.append(key)
            return super().get(key, default)

    scope = Scope(Counting({"a": 1, "b": 2, "c": 3}))
    assert parse_expression("a < b < c").evaluate(scope)
    assert ["a", "b", "c"] == reads
    reads.clear()
    assert not parse_expression("b < a < c").evaluate(scope)
    assert ["b", "a"] == reads
    reads.clear()
    assert 1 == parse_expression("a or b").evaluate(scope)
    assert ["a"] == reads


def test_an_expression_can_be_made_of_every_depth_that_is_allowed() -> None:
    """Fifty brackets, operators or conditionals in each other are read and evaluated; chains may be far longer."""
    for source in ("(" * 50 + "1" + ")" * 50, "[" * 50 + "]" * 50, "-" * 50 + "i", "not " * 50 + "i"):
        assert isinstance(parse_expression(source), Expression)
        parse_expression(source).evaluate(SCOPE)
    assert 1 == parse_expression("0 if done else " * 50 + "1").evaluate(SCOPE)
    assert parse_expression(" and ".join(["true"] * 1000)).evaluate(SCOPE)
    assert parse_expression(" < ".join(map(str, range(1000)))).evaluate(SCOPE)
