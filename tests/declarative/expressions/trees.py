"""Random expressions as trees: how each is written, and a plain interpreter of what it means.

The interpreter shares nothing with the library: it walks the tree with Python's operators, after the rules of types.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import random
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import strategies as st

STATE: dict[str, Any] = {
    "i": 3,
    "zero": 0,
    "ratio": 0.25,
    "word": "ab",
    "empty": "",
    "flag": True,
    "nothing": None,
    "items": [1, 2, 3],
    "words": ["ab", "b"],
    "box": {"a": 7, "list": [0.5, "x"], "box": {"a": "deep"}},
}


class Refused(Exception):
    """What the interpreter raises for a tree that has no value."""


@attrs.frozen
class Tree:
    """A node: its kind, its children, and what else it takes: an operator, a name, a value."""

    kind: str
    children: tuple[Tree, ...] = ()
    what: Any = None


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS = [*ORDER, "==", "!=", "in", "not in"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["ab", "b", "", "a", "'\"\\{}"])
leaves = st.one_of(
    st.builds(lambda value: Tree("literal", what=value), st.integers(0, 20) | st.sampled_from([2**70, 10**19])),
    st.builds(
        lambda value: Tree("literal", what=value),
        st.one_of(
            st.sampled_from([0.0, 0.5, 2.0, 1e300, 1e-300]),
            st.floats(min_value=0, allow_nan=False, allow_infinity=False),
            texts,
            st.booleans(),
            st.none(),
        ),
    ),
    st.builds(lambda name: Tree("name", what=name), st.sampled_from([*STATE, "state", "absent"])),
)


def _inner(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(trees, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        _chained("sum", ["+", "-"], trees),
        _chained("product", ["*", "/", "//", "%"], trees),
        _chained("comparison", COMPARISONS, trees),
        st.builds(lambda children: Tree("and", children), several),
        st.builds(lambda children: Tree("or", children), several),
        st.builds(lambda child: Tree("not", (child,)), trees),
        st.builds(lambda child: Tree("negative", (child,)), trees),
        st.builds(lambda *children: Tree("if", children), trees, trees, trees),
        st.builds(lambda children: Tree("array", tuple(children)), st.lists(trees, max_size=3)),
        st.builds(lambda *children: Tree("index", children), trees, trees),
        st.builds(lambda child, key: Tree("key", (child,), key), trees, st.sampled_from(["a", "list", "box", "b"])),
    )


def _literals(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.builds(lambda value: Tree("literal", what=value), values)


def _names(*names: str) -> st.SearchStrategy[Tree]:
    return st.builds(lambda name: Tree("name", what=name), st.sampled_from(names))


def _chained(
    kind: str, operators: list[str], operands: st.SearchStrategy[Tree], most: int = 3
) -> st.SearchStrategy[Tree]:
    pairs = st.lists(st.tuples(st.sampled_from(operators), operands), min_size=1, max_size=most)
    return st.builds(
        lambda first, rest: Tree(kind, (first, *(tree for _, tree in rest)), tuple(sign for sign, _ in rest)),
        operands,
        pairs,
    )


def _chosen(trees: st.SearchStrategy[Tree], tests: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(trees, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(lambda chosen, test, otherwise: Tree("if", (chosen, test, otherwise)), trees, tests, trees),
        st.builds(lambda kind, children: Tree(kind, children), st.sampled_from(["and", "or"]), several),
    )


def _path(*steps: Any) -> st.SearchStrategy[Tree]:
    tree = Tree("name", what=steps[0])
    for step in steps[1:]:
        is_key = isinstance(step, str)
        tree = Tree("key", (tree,), step) if is_key else Tree("index", (tree, Tree("literal", what=step)))
    return st.just(tree)


@functools.cache
def numbers(depth: int) -> st.SearchStrategy[Tree]:
    small = st.floats(min_value=0, max_value=1e6)
    leaves = _literals(st.integers(0, 20) | small) | _names("i", "ratio") | _path("box", "a") | _path("items", 1)
    if not depth:
        return leaves
    inner = numbers(depth - 1)
    return st.one_of(
        leaves,
        _chained("sum", ["+", "-"], inner),
        _chained("product", ["*", "/", "//", "%"], inner),
        st.builds(lambda child: Tree("negative", (child,)), inner),
        _chosen(inner, truths(depth - 1)),
        st.builds(lambda items: Tree("index", (Tree("array", (items,)), Tree("literal", what=0))), inner),
    )


@functools.cache
def strings(depth: int) -> st.SearchStrategy[Tree]:
    leaves = _literals(texts) | _names("word", "empty") | _path("words", 0) | _path("state", "box", "box", "a")
    if not depth:
        return leaves
    inner = strings(depth - 1)
    return st.one_of(leaves, _chained("sum", ["+"], inner), _chosen(inner, truths(depth - 1)))


@functools.cache
def arrays(depth: int) -> st.SearchStrategy[Tree]:
    leaves = _names("items", "words") | _path("box", "list")
    if not depth:
        return leaves
    items = st.lists(values(depth - 1), max_size=3)
    return st.one_of(
        leaves,
        st.builds(lambda children: Tree("array", tuple(children)), items),
        _chained("sum", ["+"], arrays(depth - 1), 2),
    )


@functools.cache
def truths(depth: int) -> st.SearchStrategy[Tree]:
    leaves = _literals(st.booleans()) | _names("flag")
    if not depth:
        return leaves
    order = list(ORDER)
    return st.one_of(
        leaves,
        _chained("comparison", [*order, "==", "!="], numbers(depth - 1)),
        _chained("comparison", [*order, "==", "!=", "in", "not in"], strings(depth - 1), 2),
        _chained("comparison", ["==", "!="], values(depth - 1), 2),
        st.builds(
            lambda sign, item, array: Tree("comparison", (item, array), (sign,)),
            st.sampled_from(["in", "not in"]),
            values(depth - 1),
            arrays(depth - 1),
        ),
        st.builds(lambda child: Tree("not", (child,)), values(depth - 1)),
        _chosen(truths(depth - 1), truths(depth - 1)),
    )


@functools.cache
def values(depth: int) -> st.SearchStrategy[Tree]:
    others = _literals(st.none()) | _names("nothing", "box", "state")
    return st.one_of(numbers(depth), strings(depth), truths(depth), arrays(depth), others)


wild = st.recursive(leaves, _inner, max_leaves=12)
"""Trees of any kinds of values; most of them have no value."""

trees = st.one_of(values(3), values(3), wild)
"""Trees of which most have a value."""

POWERS = {"if": 0, "or": 1, "and": 2, "not": 3, "comparison": 4, "sum": 5, "product": 6, "negative": 7}


def write(tree: Tree, chance: random.Random, literal: Callable[[Any, random.Random], str], least: int = 0) -> str:
    """Write a tree as text, with brackets where they are needed and at times where they are not."""
    power = POWERS.get(tree.kind, 8)
    text = _write(tree, chance, literal, power)
    return f"({text})" if power < least or chance.random() < 0.1 else text


def _write(tree: Tree, chance: random.Random, literal: Callable[[Any, random.Random], str], power: int) -> str:
    def part(place: int, least: int) -> str:
        return write(tree.children[place], chance, literal, least)

    def gap() -> str:
        return chance.choice([" ", " ", "  ", "\n", "\t "])

    match tree.kind:
        case "literal":
            return literal(tree.what, chance)
        case "name":
            return str(tree.what)
        case "sum" | "product" | "comparison":
            rest = [f"{gap()}{sign}{gap()}{part(place, power + 1)}" for place, sign in enumerate(tree.what, 1)]
            return part(0, power + 1) + "".join(rest)
        case "and" | "or":
            return f"{gap()}{tree.kind}{gap()}".join(part(n, power + 1) for n in range(len(tree.children)))
        case "not":
            return f"not{gap()}{part(0, power)}"
        case "negative":
            return f"-{part(0, power)}"
        case "if":
            return f"{part(0, 1)}{gap()}if{gap()}{part(1, 1)}{gap()}else{gap()}{part(2, 0)}"
        case "array":
            return f"[{', '.join(part(n, 0) for n in range(len(tree.children)))}]"
        case "index":
            return f"{part(0, 8)}[{part(1, 0)}]"
        case _:
            return f"{part(0, 8)}[{literal(tree.what, chance)}]" if _is_number(tree) else f"{part(0, 8)}.{tree.what}"


def _is_number(tree: Tree) -> bool:
    """Whether a dot after it would be that of a number."""
    child = tree.children[0]
    return child.kind == "literal" and type(child.what) in (int, float)


def own_literal(value: Any, chance: random.Random) -> str:
    """Write a literal of the expression language, strings with either quotes."""
    if isinstance(value, str) and chance.random() < 0.5:
        inner = json.dumps(value, ensure_ascii=chance.random() < 0.5)[1:-1].replace('\\"', '"').replace("'", "\\'")
        return f"'{inner}'"
    if value is None or isinstance(value, bool):
        return chance.choice([json.dumps(value), repr(value)])
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def python_literal(value: Any, _chance: random.Random) -> str:
    """Write a literal of Python."""
    return repr(value)


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


class Interpreter:
    """Evaluates trees. `strict` tells that a boolean met a number in a comparison, where Python takes it for one."""

    def __init__(self) -> None:
        self.strict = False

    def value(self, tree: Tree) -> Any:
        """The value of a tree; raises `Refused` where it has none."""
        return getattr(self, f"_{tree.kind}")(tree)

    def _literal(self, tree: Tree) -> Any:
        return tree.what

    def _name(self, tree: Tree) -> Any:
        if tree.what == "state":
            return STATE
        if tree.what not in STATE:
            raise Refused
        return STATE[tree.what]

    def _array(self, tree: Tree) -> Any:
        return [self.value(child) for child in tree.children]

    def _sum(self, tree: Tree) -> Any:
        total = self.value(tree.children[0])
        for sign, child in zip(tree.what, tree.children[1:], strict=True):
            total = self._compute(sign, total, self.value(child))
        return total

    _product = _sum

    def _compute(self, sign: str, left: Any, right: Any) -> Any:
        alike = type(left) is type(right) and type(left) in (str, list)
        if not (is_number(left) and is_number(right)) and not (sign == "+" and alike):
            raise Refused
        try:
            result = ARITHMETIC[sign](left, right)
        except ArithmeticError as error:
            raise Refused from error
        if isinstance(result, float) and not math.isfinite(result):
            raise Refused
        if isinstance(result, int) and abs(result) >= 2**4096:
            raise Refused
        return result

    def _comparison(self, tree: Tree) -> Any:
        left = self.value(tree.children[0])
        for sign, child in zip(tree.what, tree.children[1:], strict=True):
            right = self.value(child)
            if not self._compare(sign, left, right):
                return False
            left = right
        return True

    def _compare(self, sign: str, left: Any, right: Any) -> bool:
        if sign in ORDER:
            if not (is_number(left) and is_number(right)) and not (type(left) is type(right) is str):
                raise Refused
            return ORDER[sign](left, right)
        if sign in ("==", "!="):
            return self._equal(left, right) is (sign == "==")
        return self._contains(left, right) is (sign == "in")

    def _contains(self, item: Any, container: Any) -> bool:
        if isinstance(container, list):
            return any(self._equal(item, other) for other in container)
        if isinstance(container, dict):
            if type(item) not in (str, int):
                raise Refused
            return item in container
        if isinstance(container, str) and isinstance(item, str):
            return item in container
        raise Refused

    def _equal(self, left: Any, right: Any) -> bool:
        if isinstance(left, list) and isinstance(right, list):
            return len(left) == len(right) and all(map(self._equal, left, right))
        if isinstance(left, bool) != isinstance(right, bool):
            self.strict = self.strict or bool(left == right)
            return False
        return bool(left == right)

    def _and(self, tree: Tree) -> Any:
        for child in tree.children:
            found = self.value(child)
            if not found:
                return found
        return found

    def _or(self, tree: Tree) -> Any:
        for child in tree.children:
            found = self.value(child)
            if found:
                return found
        return found

    def _not(self, tree: Tree) -> Any:
        return not self.value(tree.children[0])

    def _negative(self, tree: Tree) -> Any:
        value = self.value(tree.children[0])
        if not is_number(value):
            raise Refused
        return -value

    def _if(self, tree: Tree) -> Any:
        chosen, test, otherwise = tree.children
        return self.value(chosen) if self.value(test) else self.value(otherwise)

    def _index(self, tree: Tree) -> Any:
        value, key = self.value(tree.children[0]), self.value(tree.children[1])
        return self._part(value, key)

    def _key(self, tree: Tree) -> Any:
        return self._part(self.value(tree.children[0]), tree.what)

    def _part(self, value: Any, key: Any) -> Any:
        fits = (isinstance(value, dict) and type(key) is str) or (isinstance(value, (list, str)) and type(key) is int)
        if not fits:
            raise Refused
        try:
            return value[key]
        except LookupError as error:
            raise Refused from error
