"""Structuring: from parsed JSON to typed values, strictly, with every problem at its path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.scalars import READERS, Mismatch, describe_json
from dagflow.core.shapes import (
    COLLECTIONS,
    SCALARS,
    ObjectField,
    UnsupportedType,
    alias_value,
    enum_form,
    kind_of,
    object_fields,
    peel,
)
from dagflow.core.unions import (
    ByKey,
    by_specificity,
    discriminator,
    json_type,
    json_types,
    literal_form,
    union_members,
    union_objects,
)
from dagflow.errors import InvalidField, describe

if TYPE_CHECKING:
    import cattrs

__all__ = ["MAX_PROBLEMS", "assemble", "structure"]

T = TypeVar("T")
Reader = Callable[..., Any]
"""Reads parsed JSON. Raises `Mismatch` for the value itself, `InvalidAnswer` for what lies below it."""

MAX_PROBLEMS = 100
"""How many problems of one answer are told: a long answer may have hundreds of thousands."""

_MAX_SUGGESTED = 20
_MAX_ALLOWED_SHOWN = 30


def structure(
    data: Any,
    target: Callable[..., T] | Any,
    *,
    only: Sequence[str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> T:
    """Make a value of `target` (a class or any type hint) from parsed JSON.

    Nothing is coerced. A null stands for the default of a field that has one and cannot be null, because strict
    dialects of JSON Schema have no other way to leave a field out. `only` names the fields of a class that
    `data` has; `given` holds values of other fields, which are taken as they are.

    Raises `InvalidAnswer` with every problem, the first `MAX_PROBLEMS` of them: missing and unknown fields,
    wrong types, values that attrs validators refuse. Raises `UnsupportedType` for a type without a form in JSON.
    """
    if only is None and not given:
        read = _any_reader_of(target)
    else:
        hint = peel(target)
        read = _part_reader(hint, only, dict(given or {})) if kind_of(hint) == "object" else reader_of(hint)
    try:
        value: T = read(data)
    except RecursionError as error:
        raise InvalidAnswer([InvalidField("$", "the value is nested too deeply")]) from error
    except (InvalidAnswer, Mismatch) as error:
        raise InvalidAnswer(_first(_problems(error, "$"))) from error
    return value


def _first(problems: list[InvalidField]) -> list[InvalidField]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return [*problems[:MAX_PROBLEMS], InvalidField("$", f"there are more than these {MAX_PROBLEMS} problems")]


def assemble(target: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Make an instance of a class from values by field name, which its constructor may take by an alias."""
    return target(**_by_alias(target, given))


def _any_reader_of(target: Any) -> Reader:
    try:
        return reader_of(target)
    except TypeError:  # what `Annotated` holds beside the type may have no hash
        return reader_of(peel(target))


def _part_reader(hint: Any, only: Sequence[str] | None, given: Mapping[str, Any]) -> ObjectReader:
    fields = [
        field for field in object_fields(hint) if field.name not in given and (only is None or field.name in only)
    ]
    return ObjectReader(hint, fields, _by_alias(get_origin(hint) or hint, given))


def _by_alias(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    aliases = {item.name: item.alias or item.name for item in attrs.fields(cls)} if attrs.has(cls) else {}
    return {aliases.get(name, name): value for name, value in values.items()}


@hints.cached_by_hint(1024)
def reader_of(hint: Any) -> Reader:
    """The reader of a type. It finds those of the types inside of it when it is first used, as they may recur."""
    hint = peel(hint)
    kind = kind_of(hint)
    if kind is None:
        raise UnsupportedType(hints.show(hint), hint)
    if kind == "scalar":
        return READERS[hint]
    if kind == "enum":
        # cattrs takes an enum of strings or integers for a string or integer, whatever hooks there are for it.
        return _enum_reader(hint)
    return _converter().get_structure_hook(hint, cache_result=False)


@lru_cache(maxsize=1)
def _converter() -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter()
    for kind, make_reader in _FACTORIES.items():
        converter.register_structure_hook_factory(_is_of_kind(kind), make_reader)
    return converter


def _is_of_kind(kind: str) -> Callable[[Any], bool]:
    return lambda hint: kind_of(peel(hint)) == kind


def _any_reader(hint: Any) -> Reader:
    return lambda data, _=None: data


def _alias_reader(hint: Any) -> Reader:
    return lambda data, _=None: reader_of(alias_value(hint))(data)


def _enum_reader(hint: Any) -> Reader:
    return _choice_reader({enum_form(member): member for member in hint}, hints.show(hint))


def _literal_reader(hint: Any) -> Reader:
    return _choice_reader([(literal_form(value), value) for value in get_args(hint)], "one of the values")


def _choice_reader(choices: Mapping[Any, Any] | Iterable[tuple[Any, Any]], what: str) -> Reader:
    pairs = choices.items() if isinstance(choices, Mapping) else choices
    # 1 and True are equal, but not the same answer.
    values = {(type(form), form): value for form, value in pairs}
    forms = [form for _, form in values]
    allowed = ", ".join(map(repr, forms[:_MAX_ALLOWED_SHOWN])) + (", ..." if len(forms) > _MAX_ALLOWED_SHOWN else "")

    def read(data: Any, _: Any = None) -> Any:
        if not isinstance(data, (dict, list)) and (type(data), data) in values:
            return values[type(data), data]
        near = nearest(data, [form for form in forms if isinstance(form, str)])
        raise Mismatch(f"expected {what} ({allowed}), got {describe_json(data)}{near}")

    return read


def nearest(word: Any, known: Iterable[str]) -> str:
    """Suggest the name that was probably meant, as the end of a message."""
    if not isinstance(word, str) or len(word) > 100:  # no name is so long, and preparing the search takes its time
        return ""
    # Case is what models get wrong most.
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, 1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


Row = tuple[str, Reader, bool, bool]
"""How a field is read: its key, its reader, whether it is required, and whether null stands for its default."""


def _rows(hint: Any, names: tuple[str, ...]) -> list[Row]:
    return [
        (
            field.key,
            reader_of(field.hint),
            field.required,
            not field.required and "null" not in json_types(field.hint),
        )
        for field in object_fields(hint)
        if field.name in names
    ]


_cached_rows = hints.cached_by_hint(1024)(_rows)


class ObjectReader:
    """Reads the JSON object of a class; `given` are arguments of its constructor that the object lacks."""

    def __init__(self, hint: Any, fields: Sequence[ObjectField], given: Mapping[str, Any]) -> None:
        self._hint = hint
        self._make: Callable[..., Any] = get_origin(hint) or hint
        self._fields = fields
        self._given = given
        self._renamed = {field.key: field.argument for field in fields if field.key != field.argument}
        self._rows: list[Row] | None = None

    def __call__(self, data: Any, _: Any = None) -> Any:
        """Make an instance; raises `Mismatch` or `InvalidAnswer` with every problem."""
        if type(data) is not dict:
            raise Mismatch(f"expected an object for {hints.show(self._hint)}, got {describe_json(data)}")
        problems: list[InvalidField] = []
        arguments = dict(self._given)
        known = 0
        for key, read, required, null_is_absent in self._rows or self._prepare():
            if key not in data:
                if required:
                    problems.append(InvalidField(f"$.{key}", f"missing; expected {self._expected(key)}"))
                continue
            known += 1
            value = data[key]
            if value is None and null_is_absent:
                continue
            try:
                arguments[key] = read(value)
            except (InvalidAnswer, Mismatch) as error:
                problems.extend(_problems(error, f"$.{key}"))
        if known != len(data):
            problems[:0] = _unknown_keys(data, [field.key for field in self._fields])
        if problems:
            raise InvalidAnswer(problems + refusals(self._make, self._fields, arguments))
        return self._construct(arguments)

    def _prepare(self) -> list[Row]:
        # Later, not when it is made: a class may hold itself.
        names = tuple(field.name for field in self._fields)
        try:
            self._rows = _cached_rows(self._hint, names)
        except TypeError:  # a hint that cannot be hashed
            self._rows = _rows(self._hint, names)
        return self._rows

    def _expected(self, key: str) -> str:
        return next(expected(field.hint) for field in self._fields if field.key == key)

    def _construct(self, arguments: dict[str, Any]) -> Any:
        named = {self._renamed.get(key, key): value for key, value in arguments.items()} if self._renamed else arguments
        try:
            return self._make(**named)
        except Exception as error:
            found = refusals(self._make, self._fields, arguments) or [InvalidField("$", message_of(error))]
            raise InvalidAnswer(found) from error


def refusals(cls: Any, fields: Sequence[ObjectField], arguments: Mapping[str, Any]) -> list[InvalidField]:
    """Ask every attrs validator on its own: making the instance would stop at the first that refuses.

    A validator that looks at fields which have no value yet is left for the making of the instance, and so is
    the validator of a field whose converter would change the value first.
    """
    if not attrs.has(cls):
        return []
    partial = object.__new__(cls)
    checked = [field for field in fields if field.key in arguments and field.attribute is not None]
    for field in checked:
        object.__setattr__(partial, field.name, arguments[field.key])
    found = []
    for field in checked:
        attribute = field.attribute
        if attribute is None or attribute.validator is None or attribute.converter is not None:
            continue
        try:
            attribute.validator(partial, attribute, arguments[field.key])
        except AttributeError:
            continue
        except Exception as error:
            found.append(InvalidField(f"$.{field.key}", message_of(error)))
    return found


def message_of(error: Exception) -> str:
    """What a validator says; those of attrs put the message first and raw values after it."""
    if isinstance(error, (ValueError, TypeError, AssertionError)) and error.args and str(error.args[0]):
        return str(error.args[0])
    return describe(error)


def _object_reader(hint: Any) -> Reader:
    return ObjectReader(hint, object_fields(hint), {})


def _array_reader(hint: Any) -> Reader:
    read_item = reader_of((get_args(hint) or (Any,))[0])
    return lambda data, _=None: _read_items(data, read_item)


def _set_reader(hint: Any) -> Reader:
    read_item = reader_of((get_args(hint) or (Any,))[0])
    make = COLLECTIONS[get_origin(hint) or hint][1]

    def read(data: Any, _: Any = None) -> Any:
        items = _read_items(data, read_item)
        try:
            found = make(items)
        except TypeError as error:
            raise Mismatch(f"expected items that a set can hold: {error}") from error
        if len(found) != len(items):
            raise Mismatch("expected every item once, got one more than once")
        return found

    return read


def _tuple_reader(hint: Any) -> Reader:
    arguments: Sequence[Any] = get_args(hint) or ((Any, ...) if hint is tuple else ())
    if len(arguments) == 2 and arguments[1] is ...:
        read_item = reader_of(arguments[0])
        return lambda data, _=None: tuple(_read_items(data, read_item))
    readers = [reader_of(argument) for argument in arguments]

    def read(data: Any, _: Any = None) -> Any:
        if type(data) is list and len(data) != len(readers):
            raise Mismatch(f"expected an array of {len(readers)} items, got {len(data)}")
        return tuple(_read_items(data, readers))

    return read


def _read_items(data: Any, read: Reader | Sequence[Reader]) -> list[Any]:
    if type(data) is not list:
        raise Mismatch(f"expected array, got {describe_json(data)}")
    found: list[Any] = []
    problems: list[InvalidField] = []
    for index, item in enumerate(data):
        try:
            found.append(read(item) if callable(read) else read[index](item))
        except (InvalidAnswer, Mismatch) as error:
            problems.extend(_problems(error, f"$[{index}]"))
            if len(problems) > MAX_PROBLEMS:
                break
    if problems:
        raise InvalidAnswer(problems)
    return found


def _mapping_reader(hint: Any) -> Reader:
    key_type, value_type = get_args(hint) or (str, Any)
    read_key, read_value = reader_of(key_type), reader_of(value_type)

    def read(data: Any, _: Any = None) -> Any:
        if type(data) is not dict:
            raise Mismatch(f"expected object, got {describe_json(data)}")
        found: dict[Any, Any] = {}
        problems: list[InvalidField] = []
        for key, value in data.items():
            try:
                found[read_key(key)] = read_value(value)
            except (InvalidAnswer, Mismatch) as error:
                problems.extend(_problems(error, _below(key)))
                if len(problems) > MAX_PROBLEMS:
                    break
        if problems:
            raise InvalidAnswer(problems)
        return found

    return read


def _union_reader(hint: Any) -> Reader:
    """Read the member that the value is meant for, so that its problems are told, not those of all others."""
    members = by_specificity(union_members(hint))
    readers = [(member, json_types(member)) for member in members]
    objects = union_objects(hint)
    mappings = [member for member, words in readers if "object" in words and peel(member) not in objects]

    def read(data: Any, _: Any = None) -> Any:
        word = json_type(data)
        if word == "object" and len(objects) > 1:
            return _read_object_or(mappings, data, objects)
        fitting = [member for member, words in readers if word in words]
        if not fitting:
            raise Mismatch(f"expected {expected(hint)}, got {describe_json(data)}")
        if len(fitting) == 1:
            return reader_of(fitting[0])(data)
        tried: list[str] = []
        for member in fitting:
            try:
                return reader_of(member)(data)
            except (InvalidAnswer, Mismatch) as error:
                problems = "; ".join(map(_short, _problems(error, "$")[:3]))
                tried.append(f"{expected(member)} ({problems})")
        raise Mismatch(f"expected {expected(hint)}; tried {', then '.join(tried)}")

    return read


def _short(item: InvalidField) -> str:
    return item.problem if item.path == "$" else str(item)


def _read_object_or(mappings: Sequence[Any], data: dict[str, Any], objects: Sequence[Any]) -> Any:
    """Read one of several classes; what is meant for none of them may be a mapping that stands beside them."""
    try:
        return _read_one_of(data, objects)
    except (InvalidAnswer, Mismatch):
        for member in mappings:
            with suppress(InvalidAnswer, Mismatch):
                return reader_of(member)(data)
        raise


def _read_one_of(data: dict[str, Any], objects: Sequence[Any]) -> Any:
    found = discriminator(objects)
    if isinstance(found, ByKey):
        tag = data.get(found.key)
        if not isinstance(tag, str) or tag not in found.members:
            allowed = ", ".join(map(repr, found.members))
            told = f"got {describe_json(tag)}{nearest(tag, found.members)}" if found.key in data else "missing"
            raise InvalidAnswer([InvalidField(f"$.{found.key}", f"expected one of {allowed}; {told}")])
        if found.added:
            data = {key: value for key, value in data.items() if key != found.key}
        return reader_of(found.members[tag])(data)
    matching = [member for member, keys in found.members.items() if keys & data.keys()]
    if len(matching) == 1:
        return reader_of(matching[0])(data)
    if not matching and found.rest is not None:
        return reader_of(found.rest)(data)
    told = ", ".join(f"{expected(member)} has {_names(keys)}" for member, keys in found.members.items())
    raise Mismatch(
        f"expected {' or '.join(map(expected, objects))}, which their fields tell apart ({told}); "
        f"got an object with {_names(data) or 'no field'}"
    )


def _names(keys: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(keys)[:_MAX_SUGGESTED]))


_FACTORIES: dict[str, Callable[[Any], Reader]] = {
    "any": _any_reader,
    "alias": _alias_reader,
    "literal": _literal_reader,
    "object": _object_reader,
    "array": _array_reader,
    "set": _set_reader,
    "tuple": _tuple_reader,
    "mapping": _mapping_reader,
    "union": _union_reader,
}


def _problems(error: InvalidAnswer | Mismatch, path: str) -> list[InvalidField]:
    """The problems of an error, with a path put before theirs."""
    if isinstance(error, Mismatch):
        return [InvalidField(path, str(error))]
    return [InvalidField(path + item.path.removeprefix("$"), item.problem) for item in error.invalid]


def _below(key: str) -> str:
    if len(key) > 80:
        key = f"{key[:80]}..."
    return f"$.{key}" if key.isidentifier() else f"$[{key!r}]"


def _unknown_keys(data: Mapping[str, Any], known: Sequence[str]) -> Iterator[InvalidField]:
    unknown = [key for key in data if key not in known]
    for key in unknown[:_MAX_SUGGESTED]:
        near = nearest(key, known) or f"; expected {', '.join(map(repr, known)) or 'no field'}"
        yield InvalidField(_below(key), f"unknown field{near}")
    if len(unknown) > _MAX_SUGGESTED:
        yield InvalidField("$", f"{len(unknown) - _MAX_SUGGESTED} more unknown fields")


def expected(hint: Any) -> str:
    """Say in JSON's words what is expected."""
    hint = peel(hint)
    if kind_of(hint) == "scalar":
        return SCALARS[hint]
    members = union_members(hint)
    return hints.show(hint) if len(members) == 1 else " or ".join(map(expected, members))
