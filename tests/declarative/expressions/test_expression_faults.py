"""What is told of expressions that are wrong: message and column, at load time where that can be."""

from __future__ import annotations

import pickle
from typing import Any, NoReturn

import attrs
import pytest

from dagflow.declarative.expressions import FUNCTIONS, ExpressionError, Scope, parse_expression
from declarative.expressions.scopes import SCOPE

NAMES = "the names are 'item', 'shadowed', 'i', 'ratio', 'name', 'done', 'nothing', 'items', 'pair', 'tags' and 11 more"
EQUALS = "unexpected `=`; write `==` to compare; nothing is assigned, and arguments have no names"
ASCII = '; names are of ASCII letters, digits and _, any other key is written state["..."]'
KNOWN = f"the functions are {', '.join(FUNCTIONS)}"

SYNTAX: list[tuple[str, int, str]] = [
    ("", 1, "the expression is empty"),
    ("  ", 3, "the expression is empty"),
    ("a b", 3, "expected an operator or the end, got `b`"),
    ("1 2", 3, "expected an operator or the end, got `2`"),
    ('f"x"', 2, 'expected an operator or the end, got `"x"`'),
    ("a + ", 5, "expected a value, got the end"),
    ("a + * b", 5, "expected a value, got `*`"),
    ("and", 1, "expected a value, got `and`"),
    (".5", 1, "expected a value, got `.`"),
    ("a if b", 7, "expected `else`, got the end"),
    ("a if b or c d", 13, "expected `else`, got `d`"),
    ("a not b", 7, "expected `in`, got `b`"),
    ("1 + not b", 5, "put brackets around the `not`: it binds looser than the operator before it"),
    ("- not b", 3, "put brackets around the `not`: it binds looser than the operator before it"),
    ("(a", 3, "expected `)` for the `(` at column 1, got the end"),
    ("(a, b)", 3, "expected `)` for the `(` at column 1, got `,`"),
    ("()", 2, "expected a value, got `)`"),
    ("[1, 2", 6, "expected `,` or `]` for the `[` at column 1, got the end"),
    ("[1, 2,]", 7, "expected a value, got `]`"),
    ("x + [a, (b]", 11, "expected `)` for the `(` at column 9, got `]`"),
    ("items[0", 8, "expected `]` for the `[` at column 6, got the end"),
    ("items[]", 7, "expected a value, got `]`"),
    ("a)", 2, "expected an operator or the end, got `)`"),
    ("a}", 2, "expected an operator or the end, got `}`"),
    ("a.", 3, "expected a name after the dot, got the end"),
    ("a.1", 3, "expected a name after the dot, got `1`"),
    ("a. .b", 4, "expected a name after the dot, got `.`"),
    ("[x for x in y]", 4, "expected `,` or `]` for the `[` at column 1, got `for`; there are no comprehensions"),
    ("a is null", 3, "expected an operator or the end, got `is`; write `==`"),
    ("lambda x: x", 8, "expected an operator or the end, got `x`"),
    ("x = 1", 3, EQUALS),
    ("round(i, digits=2)", 16, EQUALS),
    ("(x := 1)", 4, "unexpected `:=`; nothing is assigned in an expression"),
    ("items[1:2]", 8, "unexpected `:`; there are no slices, formats or objects in an expression"),
    ("a && b", 3, "unexpected `&&`; write `and`"),
    ("a & b", 3, "unexpected `&`; write `and`"),
    ("a || b", 3, "unexpected `||`; write `or`"),
    ("a | upper", 3, "unexpected `|`; there are no filters; call a function, or write `or`"),
    ("!a", 1, "unexpected `!`; write `not`"),
    ("a === b", 3, "unexpected `===`; write `==`"),
    ("a !== b", 3, "unexpected `!==`; write `!=`"),
    ("a <> b", 3, "unexpected `<>`; write `!=`"),
    ("a ? b : c", 3, "unexpected `?`; write `a if test else b`"),
    ("9**9", 2, "unexpected `**`; there is no such operator"),
    ("1 << 9", 3, "unexpected `<<`; there is no such operator"),
    ("1 >> 9", 3, "unexpected `>>`; there is no such operator"),
    ("a -> b", 3, "unexpected `->`"),
    ("a @ b", 3, "unexpected `@`"),
    ("a; b", 2, "unexpected `;`"),
    ("a # b", 3, "unexpected `#`"),
    ("{a}", 1, "unexpected `{`; there are no braces in an expression"),
    ("$a", 1, "unexpected `$`; write the name alone"),
    ("a\0", 2, r"unexpected `'\x00'`"),
    ("a\u00a0+ b", 2, rf"unexpected '\xa0' (U+00A0){ASCII}"),
    ("größe", 3, f"unexpected 'ö' (U+00F6){ASCII}"),
    ("\u0455tate", 1, f"unexpected '\u0455' (U+0455){ASCII}"),
    ("1 + \uff11", 5, f"unexpected '\uff11' (U+FF11){ASCII}"),
    ("1_000", 1, "`1_000` is no number; write it as 12, 1.5 or 1e6"),
    ("1 + 0x10", 5, "`0x10` is no number; write it as 12, 1.5 or 1e6"),
    ("1.", 1, "`1.` is no number; write it as 12, 1.5 or 1e6"),
    ("1.x", 1, "`1.x` is no number; write it as 12, 1.5 or 1e6"),
    ("1e", 1, "`1e` is no number; write it as 12, 1.5 or 1e6"),
    ("1j", 1, "`1j` is no number; write it as 12, 1.5 or 1e6"),
    ("007", 1, "a number does not begin with a zero: `007`"),
    ("1e999", 1, "the number is too large for a float"),
    ("-1e999", 2, "the number is too large for a float"),
    (f"{2**4096}", 1, "the integer is too large; it may have 4096 bits"),
    ("9" * 5000, 1, "the integer is too large; it may have 4096 bits"),
    ('a + "b', 5, "the string that begins here does not end"),
    ("'it' + 's", 8, "the string that begins here does not end"),
    ("'it's'", 5, "expected an operator or the end, got `s`"),
    ('"a\\', 1, "the string that begins here does not end"),
    ('"a\nb"', 3, r"a string holds no '\n'; write \n for a line end"),
    ('"a\tb"', 3, r"a string holds no '\t'"),
    ('"a\0b"', 3, r"a string holds no '\x00'"),
    (r'"a\qb"', 3, r"`\q` is no escape; there are \\ \/ " r"""\" \' \b \f \n \r \t and \u with four digits"""),
    (r'"\x41"', 2, r"`\x` is no escape; there are \\ \/ " r"""\" \' \b \f \n \r \t and \u with four digits"""),
    (r'"\u12"', 2, r"`\u` is no escape; there are \\ \/ " r"""\" \' \b \f \n \r \t and \u with four digits"""),
    (r'1 + "\ud800"', 5, r"a string holds half of a character: `\ud800` to `\udfff` stand in pairs"),
    (r'"\ude00\ud83d"', 1, r"a string holds half of a character: `\ud800` to `\udfff` stand in pairs"),
    ("__import__('os')", 1, "`__import__` is no name: none begins with two underscores"),
    ("grade.__class__", 7, "`__class__` is no name: none begins with two underscores"),
    ("f(1)", 1, f"there is no function `f`; {KNOWN}"),
    ("1 + lenn(i)", 5, "there is no function `lenn`; did you mean 'len'?"),
    ("len()", 1, "`len(value)` does not take 0 arguments"),
    ("len(1, 2)", 1, "`len(value)` does not take 2 arguments"),
    ("abs(1, 2)", 1, "`abs(number)` does not take 2 arguments"),
    ("split()", 1, "`split(text, separator?)` does not take 0 arguments"),
    ("split(a, b, c)", 1, "`split(text, separator?)` does not take 3 arguments"),
    ("min()", 1, "`min(values...)` does not take 0 arguments"),
    ("default(a)", 1, "`default(path, value)` does not take 1 argument"),
    ("exists('a')", 1, "`exists` takes a path first, such as `grade.score`"),
    ("default(len(a), 1)", 1, "`default` takes a path first, such as `grade.score`"),
    ("default((a or b).c, 1)", 1, "`default` takes a path first, such as `grade.score`"),
    ("name.upper()", 5, "values have no methods; write `upper(...)`"),
    ("items.append(1)", 6, f"values have no methods; {KNOWN}"),
    ("items[0](1)", 9, "only functions are called, by their names"),
    ("(len)(1)", 6, "only functions are called, by their names"),
    ("len(i)(1)", 7, "only functions are called, by their names"),
    ("len(*items)", 5, "expected a value, got `*`"),
    ("(" * 51 + "1" + ")" * 51, 52, "the expression is nested more than 50 deep"),
    ("-" * 51 + "1", 52, "the expression is nested more than 50 deep"),
    ("a" + " " * 9999 + "b", 1, "the expression has 10001 characters; 10000 are allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "column", "message"), SYNTAX, ids=[source[:40] for source, _, _ in SYNTAX])
def test_what_is_no_expression_is_told_when_it_is_parsed(source: str, column: int, message: str) -> None:
    """A fault of the text is told with its place before anything is evaluated."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source)
    assert (message, column, source) == (caught.value.message, caught.value.column, caught.value.source)


VALUES: list[tuple[str, int, str]] = [
    ("gradd", 1, f"`gradd` is missing: {NAMES}; did you mean 'grade'?"),
    ("1 + zzz", 5, f"`zzz` is missing: {NAMES}"),
    ("state.gradd.score", 6, "`state.gradd` is missing: `state` has no key 'gradd', but 'i', 'ratio', 'name', 'done', "
        "'nothing', 'items', 'pair', 'tags', 'words', 'table' and 10 more; did you mean 'grade'?"),
    ("grade.scor < 1", 6, "`grade.scor` is missing: `grade` has no key 'scor', but 'score', 'reason', 'size'; did you "
        "mean 'score'?"),
    ("grade.method", 6, "`grade.method` is missing: `grade` has no key 'method', but 'score', 'reason', 'size'"),
    ("grade.computed", 6, "`grade.computed` is missing: `grade` has no key 'computed', but 'score', 'reason', 'size'"),
    ("grade._hidden", 6, "`grade._hidden` is missing: `grade` has no key '_hidden', but 'score', 'reason', 'size'"),
    ("grade['__class__']", 6, "`grade['__class__']` is missing: `grade` has no key '__class__', but 'score', 'reason', "
        "'size'"),
    ("view . inne", 6, "`view . inne` is missing: `view` has no key 'inne', but 'inner'; did you mean 'inner'?"),
    ("deep.list[0].q", 13, "`deep.list[0].q` is missing: `deep.list[0]` has no key 'q', but 'k'"),
    ("deep.list[2].k", 10, "`deep.list[2]` is missing: `deep.list` has 2 items"),
    ("items[-4]", 6, "`items[-4]` is missing: `items` has 3 items"),
    ("[][0]", 3, "`[][0]` is missing: `[]` has no items"),
    ("[1][1]", 4, "`[1][1]` is missing: `[1]` has 1 item"),
    ("items[9" + "9" * 30 + "]", 6, "`items[9" + "9" * 30 + "]` is missing: `items` has 3 items"),
    ("table[name]", 6, "`table[name]` is missing: `table` has no key 'Ana', but 'a', 'b-c', 'größe', '_low', "
        "'__dunder__'"),
    ("table[7]", 6, "`table[7]` is missing: `table` has no key 7, but 'a', 'b-c', 'größe', '_low', '__dunder__'"),
    ("nothing.part", 8, "`nothing.part` is missing: `nothing` is null"),
    ("(grade or 1).x", 13, "`(grade or 1).x` is missing: `(grade or 1)` has no key 'x', but 'score', 'reason', 'size'"),
    ("name.upper", 5, "`name.upper` cannot be read: a string has no keys, only items by number"),
    ("items.append", 6, "`items.append` cannot be read: an array has no keys, only items by number"),
    ("items['0']", 6, "`items['0']` cannot be read: an array has no keys, only items by number"),
    ("i.real", 2, "`i.real` cannot be read: an integer has no keys, and no items"),
    ("i[0]", 2, "`i[0]` cannot be read: an integer has no keys, and no items"),
    ("tags[0]", 5, "`tags[0]` cannot be read: a frozenset has no keys, and no items"),
    ("'a'.format", 4, "`'a'.format` cannot be read: a string has no keys, only items by number"),
    ("default(i.x, 1)", 10, "`i.x` cannot be read: an integer has no keys, and no items"),
    ("exists(name.x)", 12, "`name.x` cannot be read: a string has no keys, only items by number"),
    ("default(table[zzz], 1)", 15, f"`zzz` is missing: {NAMES}"),
    ("items[true]", 6, "brackets take a string or an integer, not a boolean"),
    ("items[1.0]", 6, "brackets take a string or an integer, not a number"),
    ("table[null]", 6, "brackets take a string or an integer, not null"),
    ("table[items]", 6, "brackets take a string or an integer, not an array"),
    ("'a' + 1", 5, "`+` takes two numbers, two strings or two arrays, not a string and an integer; str(...) makes a "
        "string"),
    ("i + true", 3, "`+` takes two numbers, two strings or two arrays, not an integer and a boolean"),
    ("items + 1", 7, "`+` takes two numbers, two strings or two arrays, not an array and an integer"),
    ("table + table", 7, "`+` takes two numbers, two strings or two arrays, not an object and an object"),
    ("1 + 2 + null", 7, "`+` takes two numbers, two strings or two arrays, not an integer and null"),
    ("grade - 1", 7, "`-` takes two numbers, not a Grade and an integer"),
    ("'a' * 3", 5, "`*` takes two numbers, not a string and an integer"),
    ("[0] * 3", 5, "`*` takes two numbers, not an array and an integer"),
    ("true * 3", 6, "`*` takes two numbers, not a boolean and an integer"),
    ("'%s' % 3", 6, "`%` takes two numbers, not a string and an integer"),
    ("-name", 1, "`-` takes a number, not a string"),
    ("-true", 1, "`-` takes a number, not a boolean"),
    ("1 / 0", 3, "`/` divides by zero"),
    ("1 // 0", 3, "`//` divides by zero"),
    ("1 % 0.0", 3, "`%` divides by zero"),
    ("1e308 * 10", 7, "the result is no finite number but inf"),
    ("1e308 + 1e308 - 1e308", 7, "the result is no finite number but inf"),
    ("-1e308 - 1e308", 8, "the result is no finite number but -inf"),
    (f"{2**4095} + {2**4095}", 1235, "the result is too large: an integer may have 4096 bits"),
    (f"{2**2048} * {2**2048}", 619, "the result is too large: an integer may have 4096 bits"),
    (f"{2**4000} + 0.5", 1207, "the result of `+` is too large"),
    (f"{2**4000} / 3", 1207, "the result of `/` is too large"),
    ("1 < 'a'", 3, "`<` compares two numbers or two strings, not an integer and a string"),
    ("1 < 2 <= 'a'", 7, "`<=` compares two numbers or two strings, not an integer and a string"),
    ("items > items", 7, "`>` compares two numbers or two strings, not an array and an array"),
    ("true >= false", 6, "`>=` compares two numbers or two strings, not a boolean and a boolean"),
    ("1 in 5", 3, "`in` looks into a string, an array or an object, not into an integer"),
    ("items in table", 7, "`in` looks for a string or an integer in an object, not for an array"),
    ("true not in grade", 6, "`in` looks for a string or an integer in an object, not for a boolean"),
    ("1 not in name", 3, "`in` looks for a string in a string, not for an integer"),
    ("len(1)", 1, "`len` takes a string, an array or an object, not an integer"),
    ("int(true)", 1, "`int` takes a number or a string, not a boolean"),
    ("int('1.5')", 1, "`int` takes an integer as text, not string '1.5'"),
    ("int('\uff11')", 1, "`int` takes an integer as text, not string '\uff11'"),
    (f"int('{'9' * 2000}')", 1, "the result is too large: an integer may have 4096 bits"),
    (f"int('{2**4096}')", 1, "the result is too large: an integer may have 4096 bits"),
    ("float('nan')", 1, "`float` takes a number as text, not string 'nan'"),
    ("float('1e999')", 1, "the result is no finite number but inf"),
    (f"float({2**4000})", 1, "the result of `float` is too large"),
    ("float(null)", 1, "`float` takes a number or a string, not null"),
    ("round(1.5, 0.5)", 1, "`round` takes an integer from -300 to 300 as its digits"),
    ("round(1, -100000000)", 1, "`round` takes an integer from -300 to 300 as its digits"),
    ("round(1.79e308, -308)", 1, "`round` takes an integer from -300 to 300 as its digits"),
    ("round(1.7976931348623157e308, -293)", 1, "the result of `round` is too large"),
    ("round('a')", 1, "`round` takes a number, not a string"),
    ("abs(null)", 1, "`abs` takes a number, not null"),
    ("min([])", 1, "`min` takes an array with items; this one is empty"),
    ("max(1)", 1, "`max` takes an array, not an integer"),
    ("max(1, 'a')", 1, "`max` compares two numbers or two strings, not a string and an integer"),
    ("min([true])", 1, "`min` compares two numbers or two strings, not a boolean and a boolean"),
    ("sum([1, 'a'])", 1, "`sum` adds numbers, not a string"),
    ("sum([true])", 1, "`sum` adds numbers, not a boolean"),
    ("sum([1e308, 1e308])", 1, "the result is no finite number but inf"),
    (f"sum([{2**4000}, 0.5])", 1, "the result of `sum` is too large"),
    ("lower(1)", 1, "`lower` takes a string, not an integer"),
    ("split('a', '')", 1, "`split` takes a separator that is not empty"),
    ("split('a', 1)", 1, "`split` takes a string, not an integer"),
    ("join('abc')", 1, "`join` takes an array, not a string"),
    ("startswith('a', 1)", 1, "`startswith` takes a string, not an integer"),
    ("keys(items)", 1, "`keys` takes an object, not an array"),
    ("values(1)", 1, "`values` takes an object, not an integer"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "column", "message"), VALUES, ids=[source[:40] for source, _, _ in VALUES])
def test_values_that_do_not_fit_are_told(source: str, column: int, message: str) -> None:
    """A fault of the values says which operator or path, which kinds there are, and where in the text it is."""
    expression = parse_expression(source)
    with pytest.raises(ExpressionError) as caught:
        expression.evaluate(SCOPE)
    assert (message, column, source) == (caught.value.message, caught.value.column, caught.value.source)


def failure(source: str, state: Any) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source).evaluate(Scope(state))
    return caught.value


@pytest.mark.parametrize(
    "source",
    ["text + text", "lower(text + 'x')", "upper(sharp)", "strip(long)", "split(long)", "join(['a', 'b'], text)"],
)
def test_a_string_that_is_too_long_is_told(source: str) -> None:
    """No string that an expression makes has more than 2 ** 20 characters."""
    state = {"text": "x" * (1 << 20), "sharp": "ß" * (1 << 20), "long": "x" * ((1 << 20) + 1)}
    assert "too long: a string may have 1048576 characters" in failure(source, state).message


@pytest.mark.parametrize(
    "source", ["many + many", "split(spaced)", "split(spaced, ' ')", "keys(crowd)", "values(crowd)"]
)
def test_an_array_that_is_too_long_is_told(source: str) -> None:
    """No array that an expression makes has more than a hundred thousand items."""
    state = {"many": [1] * 60_000, "spaced": "a " * 200_000, "crowd": dict.fromkeys(map(str, range(100_001)))}
    assert "the result is too long: an array may have 100000 items" == failure(source, state).message


def test_an_error_shows_the_place_in_its_text() -> None:
    """The text of an error ends with the column and what stands around it, however long the whole is."""
    assert "`a` is missing: there are no names (column 5 of '1 + a')" == str(failure("1 + a", {}))
    long = " + ".join(["1"] * 100 + ["a"])
    error = failure(long, {})
    assert "(column 401 of '...+ 1 + 1 + 1 + 1 + 1 + 1 + 1 + a')" == str(error)[-52:]
    assert (1, 401) == error.position


def test_an_error_of_several_lines_shows_the_line() -> None:
    """The column counts through the whole text, `position` and the message have it by lines."""
    error = failure("1 +\n  a", {})
    assert 7 == error.column
    assert (2, 3) == error.position
    assert "`a` is missing: there are no names (line 2, column 3 of '  a')" == str(error)


def test_an_error_without_a_place_shows_its_text() -> None:
    """Where the column is not known, the text is quoted."""
    error = ExpressionError("something is wrong", "x" * 100)
    assert f"something is wrong (in '{'x' * 57}...')" == str(error)
    assert (0, 0) == error.position


def test_an_error_can_be_pickled() -> None:
    """An error reaches another process whole."""
    error = failure("1 + a", {})
    again = pickle.loads(pickle.dumps(error))
    assert (str(error), error.column, error.path) == (str(again), again.column, again.path)
    assert isinstance(error, ValueError)


def test_long_names_and_keys_are_cut_in_messages() -> None:
    """No message grows with the values."""
    state = {"table": {"k" * 1000: 1, **{f"key {number}": 1 for number in range(100_000)}}}
    for source in ("table.x", f"table['{'z' * 9000}']", "x" * 9000, "table." + "x" * 9000):
        assert len(str(failure(source, state))) < 1000


@attrs.frozen(eq=False)
class Rude:
    """A value that fails whatever is done with it."""

    field: int = 1

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError("rude ==")

    def __bool__(self) -> bool:
        raise RuntimeError("rude bool")

    __hash__ = None  # type: ignore[assignment]  # as of other values that are compared by what they hold


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("rude == 1", "rude =="),
        ("rude in [1]", "rude =="),
        ("not rude", "rude bool"),
        ("1 if rude else 2", "rude bool"),
    ],
)
def test_what_a_value_raises_is_translated(source: str, cause: str) -> None:
    """An exception of a value's own code becomes an error of the expression, with it as the cause."""
    error = failure(source, {"rude": Rude()})
    assert f"the expression cannot be evaluated: RuntimeError: {cause}" == error.message
    assert isinstance(error.__cause__, RuntimeError)
    assert 1 == error.column


def test_an_attribute_that_is_not_set_is_missing() -> None:
    """A field that an instance has no value for is missing, as a key is."""

    @attrs.define
    class Late:
        value: int = attrs.field(init=False)

    assert "`late.value` is missing" in failure("late.value", {"late": Late()}).message
    assert 0 == parse_expression("default(late.value, 0)").evaluate(Scope({"late": Late()}))
