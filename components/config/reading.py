"""Reads a document into a model: level 1 of validation, all its faults in our words.

A document with faults still yields a *draft*: a model with only the keys that were good, so that rules about the good
keys are checked in the same go. `is_known` says whether a rule may look at a key.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from components.config.documents import Document, Problem, located, shown
from components.model.errors import Fault, nearest_name

Model = TypeVar("Model", bound=BaseModel)
_UNTYPED_MAP = "a map of keys"


def read(model: type[Model], document: Document) -> tuple[Model, tuple[Fault, ...]]:
    """The document as a model (a draft when there are faults), and its faults."""
    try:
        return model.model_validate(document.content), ()
    except ValidationError as exc:
        problems = tuple(_problems(model, exc))
    return _draft(model, document.content), tuple(located(document, problems))


def is_known(model: BaseModel, path: str) -> bool:
    """True when the key at the dotted path, and all below it, were read without a fault."""
    value: object = model
    for name in path.split("."):
        if not isinstance(value, BaseModel) or name not in value.model_fields_set:
            return False
        value = getattr(value, name)
    return _is_whole(value)


def described(annotation: Any, metadata: tuple[Any, ...] | list[Any] = ()) -> str:
    """A type with its range in words, e.g. `a number ≥ 0 and < 1`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return described(inner, [*metadata, *(m for item in more for m in getattr(item, "metadata", [item]))])
    if origin in (Union, types.UnionType):
        return " or ".join("null" if part is type(None) else described(part) for part in get_args(annotation))
    if origin is Literal:
        options = [str(option) for option in get_args(annotation)]
        return f"one of {', '.join(options)}" if len(options) > 1 else options[0]
    if origin is list:
        return f"a list of {described(get_args(annotation)[0]).removeprefix('a ')}"
    if origin is dict:
        return f"a map of name: {described(get_args(annotation)[1]).removeprefix('a ')}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _UNTYPED_MAP
    return {float: "a number", int: "a whole number", str: "a text"}[annotation] + _range(metadata)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation: itself, or that of the values of a map or list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def _range(metadata: tuple[Any, ...] | list[Any]) -> str:
    signs = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
    bounds = [f"{sign} {getattr(item, name):g}" for item in metadata for name, sign in signs if hasattr(item, name)]
    return " " + " and ".join(bounds) if bounds else ""


def _is_whole(value: object) -> bool:
    if not isinstance(value, BaseModel):
        return True
    names = type(value).model_fields
    return value.model_fields_set >= names.keys() and all(_is_whole(getattr(value, name)) for name in names)


def _draft(model: type[Model], content: object) -> Model:
    draft = model.model_construct()
    if not isinstance(content, Mapping):
        return draft
    for name, field in model.model_fields.items():
        if name not in content:
            continue
        try:
            model.__pydantic_validator__.validate_assignment(draft, name, content[name])
        except ValidationError:
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                setattr(draft, name, _draft(field.annotation, content[name]))
    return draft


def _problems(model: type[BaseModel], exc: ValidationError) -> Iterator[Problem]:
    errors = exc.errors(include_url=False)
    unknown = {error["loc"] for error in errors if error["type"] == "extra_forbidden"}
    for error in errors:
        loc = error["loc"]
        path = ".".join(str(part) for part in loc)
        match error["type"]:
            case "extra_forbidden":
                known = _fields_at(model, loc[:-1])
                yield Problem(path, "an unknown key", "only keys of the reference", nearest_name(str(loc[-1]), known))
            case "missing":
                misspelt = nearest_name(str(loc[-1]), [str(u[-1]) for u in unknown if u[:-1] == loc[:-1]])
                found = f"only {misspelt!r}" if misspelt else "no such key"
                yield Problem(path, found, f"{_expected(model, loc)}; no key has a default")
            case "literal_error":
                options = _expected(model, loc)
                yield Problem(
                    path,
                    shown(error["input"]),
                    options,
                    nearest_name(str(error["input"]), options.replace("one of ", "").split(", ")),
                )
            case _:
                yield Problem(path, shown(error["input"]), _expected(model, loc))


def _expected(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    annotation, field = _annotation_at(model, loc)
    metadata = field.metadata if field is not None and annotation is field.annotation else ()
    words = described(annotation, metadata)
    return f"{words} (finite)" if "number" in words and "whole" not in words else words


def _annotation_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[Any, FieldInfo | None]:
    """The annotation a location points at; steps through maps and lists, stops where it cannot."""
    annotation: Any = model
    field: FieldInfo | None = None
    for part in loc:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if str(part) not in annotation.model_fields:
                break
            field = annotation.model_fields[str(part)]
            annotation = field.annotation
        elif get_origin(annotation) in (dict, list):
            annotation = get_args(annotation)[-1]
    return annotation, field


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    annotation, _ = _annotation_at(model, loc)
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
