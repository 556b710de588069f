"""What the OpenAPI document promises is what the daemon does, whatever is sent to it.

Where schemathesis is installed it has its say as well; the checks here do not need it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agent_daemon import daemon

from cryoflux.agent.app import OPERATIONS
from waiting import CEILING_S

MAX_EXAMPLES = 40


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with daemon(tmp_path_factory.mktemp("openapi"), "--credit", "grant") as running:
        running.post("/v1/grant", {"joules": 1e6, "request_id": "for-all"})
        running.document = json.loads(running.get("/openapi.json"))
        yield running
        assert running.end() == (0, "")


def send(agent, method, path, content=None, kind="application/json"):
    """Status and body of an answer."""
    headers = {"Content-Type": kind} if content is not None else {}
    request = urllib.request.Request(agent.url + path, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CEILING_S) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def generated(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of the document allows."""
    if "$ref" in schema:
        return generated(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return st.one_of([generated(one, schemas) for one in schema["anyOf"]])
    bounds = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
    if "exclusiveMinimum" in schema:
        bounds["min_value"] = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        bounds["max_value"] = schema["exclusiveMaximum"] - 1
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    of_type: dict[str, Any] = {
        "null": st.none,
        "boolean": st.booleans,
        "integer": lambda: st.integers(**bounds),
        "number": lambda: st.floats(**bounds, allow_nan=False),
        "string": lambda: st.text(
            st.characters(codec="utf-8"),
            min_size=schema.get("minLength", 0),
            max_size=schema.get("maxLength"),
        ),
        "object": lambda: st.fixed_dictionaries(
            {name: generated(schema["properties"][name], schemas) for name in schema["required"]},
            optional={
                name: generated(one, schemas)
                for name, one in schema["properties"].items()
                if name not in schema["required"]
            },
        ),
    }
    return of_type[schema["type"]]()


KINDS = {
    "null": type(None),
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
}


def violation(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Where a value is not what a schema says; empty if nowhere."""
    if "$ref" in schema:
        return violation(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        found = [violation(value, one, schemas) for one in schema["anyOf"]]
        return "" if "" in found else " and ".join(found)
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return f"{value!r} is not one of {schema}"
    if not isinstance(value, KINDS[schema["type"]]):
        return f"{value!r} is no {schema['type']}"
    return next(filter(None, (violation(part, one, schemas) for part, one in parts(value, schema))), "")


def parts(value: Any, schema: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """What a value is made of, each with its schema."""
    if schema["type"] == "array":
        return [(one, schema["items"]) for one in value]
    if "properties" not in schema:
        return []
    assert set(schema["required"]) <= set(value) <= set(schema["properties"])
    return [(value[name], schema["properties"][name]) for name in value]


def check_answer(agent, method, path, status, body):
    """The status is one that is documented, and the body is what is said to come with it."""
    documented = agent.document["paths"][path][method.lower()]["responses"]
    assert str(status) in documented, (method, path, status, body)
    for media, content in documented[str(status)]["content"].items():
        if media == "application/json":
            schemas = agent.document["components"]["schemas"]
            assert violation(json.loads(body), content["schema"], schemas) == ""


def test_the_document_names_all_that_is_served_and_every_reference_in_it_leads_somewhere(agent):
    paths = agent.document["paths"]
    assert {(o.method.lower(), o.path) for o in OPERATIONS} == {(m, p) for p in paths for m in paths[p]}
    names = [one["operationId"] for methods in paths.values() for one in methods.values()]
    assert len(names) == len(set(names))
    text = json.dumps(agent.document)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in agent.document["components"]["schemas"]
    assert agent.document["openapi"].startswith("3.1")


def test_what_is_read_is_what_the_document_says(agent):
    taken = agent.post("/v1/take", {"joules": 1, "request_id": "to be read"})
    for path in ("/v1/sample", "/metrics", "/v1/reservations", "/openapi.json"):
        check_answer(agent, "GET", path, *send(agent, "GET", path))
    for named in (taken["reservation"], "none"):
        path = "/v1/reservations/{reservation}"
        check_answer(agent, "GET", path, *send(agent, "GET", path.replace("{reservation}", named)))
    body = json.dumps({"reservation": taken["reservation"]}).encode()
    check_answer(agent, "POST", "/v1/settle", *send(agent, "POST", "/v1/settle", body))


POSTS = [operation.path for operation in OPERATIONS if operation.body and operation.path != "/v1/settle"]


@pytest.mark.parametrize("path", POSTS)
def test_what_the_document_allows_is_never_unprocessable(agent, path):
    described = agent.document["paths"][path]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]

    @settings(max_examples=MAX_EXAMPLES)
    @given(generated(schema, agent.document["components"]["schemas"]))
    def check(body):
        status, answer = send(agent, "POST", path, json.dumps(body).encode())
        assert status in {200, 404, 409}
        check_answer(agent, "POST", path, status, answer)

    check()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["joules", "request_id", "log", "pid", "boot_id", "start_ticks", "earlier_cpu_us", "reservation", "note"]
)


@pytest.mark.parametrize("path", [*POSTS, "/v1/settle"])
def test_anything_else_is_refused_as_documented_and_never_breaks_it(agent, path):
    @settings(max_examples=MAX_EXAMPLES)
    @given(st.dictionaries(FIELDS, ANYTHING, max_size=4) | ANYTHING | st.binary(max_size=50))
    def check(body):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        check_answer(agent, "POST", path, *send(agent, "POST", path, content))

    check()


@settings(max_examples=MAX_EXAMPLES)
@given(st.text(min_size=1))
def test_any_path_and_query_has_an_answer(agent, text):
    quoted = urllib.request.quote(text, safe="", errors="replace")
    for path in (
        f"/{quoted}",
        f"/v1/reservations/{quoted}",
        f"/v1/reservations?request_id={quoted}",
        f"/v1/sample?{quoted}",
    ):
        assert send(agent, "GET", path)[0] in {200, 404}
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert send(agent, method, "/v1/take")[0] == 405


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_schemathesis_finds_nothing(agent):
    # /v1/events has no end, which is not what it can wait for.
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{agent.url}/openapi.json",
        "--checks",
        "all",
    ]
    command += ["--exclude-path", "/v1/events", "--max-examples", "20", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
