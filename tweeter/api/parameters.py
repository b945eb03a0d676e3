"""The parameters of a request, in all spellings that clients use, converted to the types that an endpoint declares.

They come from the path, the query and the body: a form, JSON, multipart, or nothing. Arrays are `k[]=1&k[]=2`,
`k=1&k=2`, a single `k=1` or a JSON list; objects are `k[part]=1` or JSON. The rules for booleans and empty values are
those of Mastodon's framework.
"""

import inspect
import re
import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pyramid.request import Request

from tweeter.api.errors import Failure

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="A decimal number; in answers ids are strings.")]

FALSE = frozenset(("", "0", "f", "false", "off"))
_ID = re.compile("0|[1-9][0-9]{0,17}")  # longer ones do not exist
_KEY = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\].*)?")


def declared(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """The parameters of an endpoint's function, after the request, as a class."""
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        required = parameter.default is inspect.Parameter.empty
        fields.append((name, hints[name]) if required else (name, hints[name], parameter.default))
    return msgspec.defstruct(f"{function.__name__}_parameters", fields, kw_only=True)


def given(request: Request, struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The values of the declared parameters. Raises Failure."""
    raw, values = _raw(request), {}
    for name, kind in _kinds(struct):
        if name in raw and (value := _shaped(raw[name], kind)) is not None:
            values[name] = value
    try:
        return msgspec.structs.asdict(msgspec.convert(values, struct, strict=False))
    except msgspec.ValidationError as error:
        raise Failure(422, f"Validation failed: {error}") from None


@cache
def _kinds(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    return [(field.name, _plain(field.type)) for field in msgspec.structs.fields(struct)]


def _raw(request: Request) -> dict[str, Any]:
    if not _ID.fullmatch(request.matchdict.get("id", "0")):
        raise Failure(404, "Record not found")
    found: dict[str, Any] = {}
    pairs = list(request.GET.items())
    media = request.content_type.lower()
    if media == "application/json":
        found = _json(request)
    elif media.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        pairs += request.POST.items()
    for key, value in pairs:
        match = _KEY.fullmatch(key or "")  # a part of a multipart body may lack a name
        if match is None or not isinstance(value, str):
            continue
        name, inner = match.groups()
        known = found.get(name)
        if inner:
            found[name] = {**(known if isinstance(known, dict) else {}), inner: value}
        else:
            found[name] = [*(known if isinstance(known, list) else []), value]
    return found | request.matchdict


def _json(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        found = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Failure(400, f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Failure(400, "The body must be a JSON object.")
    return found


def _shaped(value: Any, kind: Any) -> Any:
    """The value as the kind's conversion expects it; None if it is missing."""
    if get_origin(kind) is list:
        values = value if isinstance(value, list) else [value]
        return [each for each in values if each not in ("", None)]
    if isinstance(value, list):
        value = value[-1] if value else None
    if kind is bool and isinstance(value, str):
        return value.lower() not in FALSE
    if kind is str and isinstance(value, int | float):
        return str(value)
    return None if value == "" and kind is not str else value


def _plain(kind: Any) -> Any:
    """The type without its annotations and without None."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return _plain(next(part for part in get_args(kind) if part is not type(None)))
    return kind


def merged(request: Request) -> dict[str, str]:
    """All parameters that are texts, by name."""
    last = {name: value[-1] if isinstance(value, list) and value else value for name, value in _raw(request).items()}
    return {name: value for name, value in last.items() if isinstance(value, str)}
