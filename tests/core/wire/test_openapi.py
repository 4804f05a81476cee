"""The OpenAPI document describes every method that is declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from headway.core.wire.openapi import openapi
from headway.core.wire.rpc import METHODS


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_is_json_and_names_its_version() -> None:
    document = openapi()
    assert json.loads(json.dumps(document)) == document
    assert document["openapi"] == "3.1.0"


def test_every_method_is_described_with_its_docstring() -> None:
    paths = openapi()["paths"]
    assert list(paths) == [f"/api/v1/{method}" for method in METHODS]
    for method, declared in METHODS.items():
        operation = paths[f"/api/v1/{method}"]["post"]
        assert operation["operationId"] == method
        assert operation["summary"] == (declared.__doc__ or "").splitlines()[0]
        assert operation["responses"]["200"]["description"]


def test_each_method_refers_to_its_own_parameters_and_result() -> None:
    paths = openapi()["paths"]
    for method, declared in METHODS.items():
        operation = paths[f"/api/v1/{method}"]["post"]
        assert list(references(operation["requestBody"])) == [
            f"#/components/schemas/{declared.__name__}"
        ]
        assert list(references(operation["responses"]["200"])) == [
            f"#/components/schemas/{declared.result.__name__}"
        ]


def test_every_reference_leads_somewhere() -> None:
    document = openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_only_a_method_without_required_parameters_may_lack_a_body() -> None:
    paths = openapi()["paths"]
    assert paths["/api/v1/save"]["post"]["requestBody"]["required"] is True
    assert paths["/api/v1/stop"]["post"]["requestBody"]["required"] is False


def test_the_bounds_of_a_timeout_are_told() -> None:
    timeout = openapi()["components"]["schemas"]["Stop"]["properties"]["timeout_s"]
    assert (timeout["exclusiveMinimum"], timeout["maximum"]) == (0, 86400)


def test_a_caller_may_change_the_document_it_was_given() -> None:
    openapi()["paths"].clear()
    assert openapi()["paths"]
