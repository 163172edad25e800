"""One sentence for what is wrong with a manifest file: which key, what was expected, and the nearest right spelling."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_EXPECTED: Final = {
    "tuple_type": "a list",
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}

_TOML_NAMES: Final = {str: "a string", bool: "true or false", int: "a number", float: "a number", list: "a list"}


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `did you mean 'x'?`, or the list of what is known when nothing is near."""
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known)) or 'none'}."


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one sentence about the first problem that pydantic reports for `model`.

    A misspelt key also leaves the right one missing; the misspelling is what has to be mended, so it goes first.
    """
    problems = error.errors(include_url=False)
    return _sentence(min(problems, key=lambda problem: problem["type"] != "extra_forbidden"), model)


def _sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    path = ".".join(_key(part) for part in problem["loc"] if part != "[key]")
    value = problem["input"]
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            *parents, key = (str(part) for part in problem["loc"])
            table = f" in [{'.'.join(map(_key, parents))}]" if parents else ""
            sentence = f"unknown key {key!r}{table}; {did_you_mean(key, sorted(_fields_at(model, parents)))}"
        case "missing":
            sentence = f"{path} is missing; add it."
        case "value_error":
            sentence = f"{path}: {context['error']}" if path else str(context["error"])
        case "literal_error":
            sentence = f"{path} must be {context['expected']}, not {value!r}."
        case "too_short":
            sentence = f"{path} is empty; give at least one element."
        case "string_pattern_mismatch":
            sentence = f"{path} {value!r} is not a name; use small letters, digits, '.', '_' and '-'."
        case kind if kind in _EXPECTED:
            sentence = f"{path} must be {_EXPECTED[kind]}, not {_toml_name(value)}."
        case _:
            sentence = f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
    return sentence


def _key(part: str | int) -> str:
    """Return a part of a key, in quotes where it holds what would break the sentence."""
    said = str(part)
    return said if said.isprintable() else repr(said)


def _toml_name(value: object) -> str:
    return _TOML_NAMES.get(type(value), "a table" if isinstance(value, dict) else type(value).__name__)


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> frozenset[str]:
    """Return the keys of the table at `path` below `model`; list positions in the path are passed over."""
    current = model
    for part in path:
        if part.isdigit() or part not in current.model_fields:
            continue
        current = _model_in(current.model_fields[part].annotation) or current
    return frozenset(field.alias or name for name, field in current.model_fields.items())


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
