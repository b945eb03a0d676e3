"""Whatever a client sends, the API answers as its OpenAPI document says.

Schemathesis makes requests from the document: some fit it, others do not. The ids in them are those of things that
exist, or any number.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pyramid.router import Router
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.conftest import running, settings_of
from tests.support.api import Api, someone
from tweeter.api.tokens import KNOWN
from tweeter.settings import KNOWN as SETTINGS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 4}  # for each endpoint


@pytest.fixture(scope="module")
def app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("schema"))
    own = {name: "none" for name in SETTINGS if name.startswith("tweeter.limits.") and name != "tweeter.limits.storage"}
    with running(settings_of(f"sqlite:///{path}") | own | {"tweeter.timelines": "memory"}) as app:
        yield app


@pytest.fixture(scope="module")
def schema(app: Router) -> OpenApiSchema:
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.fixture(scope="module")
def api(app: Router) -> Api:
    """A client with all scopes."""
    scopes = " ".join(sorted(KNOWN))
    return Api(app, scopes).sign_in(someone(app).username, scope=scopes)


@pytest.fixture(scope="module")
def existing(app: Router, api: Api) -> Callable[[], list[int]]:
    """`existing()` makes things that the client's user has and sees, and returns their ids.

    Each endpoint gets new ones, because a request may delete them.
    """
    me = api.get("/api/v1/accounts/verify_credentials").json

    def make() -> list[int]:
        other = Api(app).sign_in(someone(app).username)
        theirs = other.toot(f"Hello @{me['acct']}, this is #tagged")
        api.post(f"/api/v1/accounts/{theirs['account']['id']}/follow")
        reply = api.toot("A reply", in_reply_to_id=theirs["id"])
        repost = api.post(f"/api/v1/statuses/{theirs['id']}/reblog").json
        made = api.post("/api/v1/lists", title="friends").json
        [notified, *_] = api.get("/api/v1/notifications").json
        return [int(each["id"]) for each in (me, theirs, theirs["account"], reply, repost, made, notified)]

    return make


@pytest.mark.parametrize("mode", EXAMPLES)
def test_every_answer_is_as_documented(
    mode: GenerationMode, schema: OpenApiSchema, api: Api, existing: Callable[[], list[int]]
) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Accept-Encoding": "identity"}
    errors = []
    for path, method in [(each, method) for each in schema for method in schema[each]]:
        requests: st.SearchStrategy[Case] = schema[path][method].as_strategy(mode)
        ids = existing() if "{id}" in path else []

        @settings(max_examples=EXAMPLES[mode], suppress_health_check=list(HealthCheck), print_blob=False)
        @given(requests, st.sampled_from([None, *ids]))
        def check(case: Case, id_: int | None) -> None:
            if id_ is not None:
                case.path_parameters["id"] = id_
            case.call_and_validate(headers=headers, checks=CHECKS)

        try:
            check()
        except Unsatisfiable:  # no request to this endpoint is wrong
            assert mode is GenerationMode.NEGATIVE
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("Answers differ from the document", errors)
