"""The OpenAPI document of the API, made from the declarations of the endpoints."""

import re
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from pyramid.request import Request

from tweeter.api.endpoints import ANY, ENDPOINTS, Endpoint, endpoint
from tweeter.api.entities import Entity
from tweeter.api.tokens import KNOWN

REF = "#/components/schemas/{name}"
FAILED = {"content": {"application/json": {"schema": {"$ref": REF.format(name="Error")}}}}
BODY = ("application/x-www-form-urlencoded", "application/json", "multipart/form-data")


class Error(Entity, frozen=True, kw_only=True):
    """Why a request failed."""

    error: str
    error_description: str | msgspec.UnsetType = msgspec.UNSET


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1, for a site at any address."""
    returned = [each.returns for each in ENDPOINTS]
    schemas, components = msgspec.json.schema_components([*returned, Error], ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for each, schema in zip(ENDPOINTS, schemas, strict=False):
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schema)
    scopes = dict.fromkeys(sorted(KNOWN), "")
    flow = {"tokenUrl": "/oauth/token", "scopes": scopes}
    flows = {"authorizationCode": {"authorizationUrl": "/oauth/authorize", **flow}, "clientCredentials": flow}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tweeter",
            "version": version("tweeter"),
            "description": "Mastodon's client API, as far as Tweeter has what it is about.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "oauth2", "flows": flows}}},
    }


def _operation(each: Endpoint, schema: dict[str, Any]) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", each.path)
    _, components = msgspec.json.schema_components([each.parameters], ref_template=REF)
    shape = components[each.parameters.__name__]
    required = set(shape.get("required", ()))
    in_query = [name for name in shape["properties"] if name not in in_path]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{each.method.lower()} {each.path}").strip("_"),
        "summary": (each.function.__doc__ or "").partition("\n")[0],
        "responses": {
            "200": {"description": "OK", "content": {each.media: {"schema": schema}}},
            "4XX": {"description": "The request is refused", **FAILED},
            "503": {"description": "The site is temporarily unavailable", **FAILED},
        },
    }
    listed = [{"name": name, "in": "path", "required": True, "schema": shape["properties"][name]} for name in in_path]
    if each.method == "GET":
        for name in in_query:
            schema_of = shape["properties"][name]
            shown = f"{name}[]" if schema_of.get("type") == "array" else name
            listed.append({"name": shown, "in": "query", "required": name in required, "schema": schema_of})
    elif in_query:
        body = {
            "type": "object",
            "properties": {name: shape["properties"][name] for name in in_query},
            "required": sorted(required.difference(in_path)),
        }
        operation["requestBody"] = {"content": {kind: {"schema": body} for kind in BODY}}
    if listed:
        operation["parameters"] = listed
    if each.scope:
        scopes = [] if each.scope == ANY else [each.scope]
        operation["security"] = [{"token": scopes}, *([{}] if each.anonymous else [])]
    return operation


@endpoint("GET", "/api/openapi.json", returns=dict[str, Any])
def openapi(request: Request) -> dict[str, Any]:
    """This document."""
    return document() | {"servers": [{"url": request.application_url}]}
