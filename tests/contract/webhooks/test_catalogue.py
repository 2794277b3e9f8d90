"""The event catalogue (webhooks.md §10): names, schemas, samples, and the OpenAPI documents made from them."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT
from opentill.webhooks import catalogue, schema
from opentill.webhooks.model import Dialect
from tests.contract.webhooks import write_samples

pytestmark = pytest.mark.bar("C16")

TYPE_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)+")
OPERATIONAL = {"endpoint.failing", "endpoint.recovered", "endpoint.disabled", "delivery.dead"}


@pytest.mark.parametrize("dialect", Dialect)
def test_every_event_of_a_dialect_has_a_schema_and_every_schema_an_event(dialect: Dialect) -> None:
    known = {*catalogue.default_set(dialect), *catalogue.extra_set(dialect)}
    if dialect is Dialect.STANDARD:
        known |= OPERATIONAL
    assert set(schema.events_of(dialect)) == known


@pytest.mark.parametrize("dialect", Dialect)
def test_type_names_have_the_documented_form(dialect: Dialect) -> None:
    assert [name for name in schema.events_of(dialect) if not TYPE_NAME.fullmatch(name)] == []


def test_the_bundle_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(json.loads(schema.text()))


@pytest.mark.parametrize("name", [name for name in schema.definitions() if ":" in name])
def test_a_definition_stands_on_its_own(name: str) -> None:
    alone = schema.schema_of(name)
    Draft202012Validator.check_schema(alone)
    assert not Draft202012Validator(alone).is_valid({"nothing": "of the kind"})
    if name in schema.samples():
        Draft202012Validator(alone).validate(schema.samples()[name])


def test_the_published_samples_are_the_golden_bodies() -> None:
    """Write them anew with `python -m tests.contract.webhooks.write_samples`."""
    assert write_samples.TARGET.read_text() == write_samples.text()


@pytest.mark.parametrize(
    ("document", "dialects"),
    [(MERCHANT, (Dialect.MERCHANT, Dialect.STANDARD)), (EXTERNAL, (Dialect.PIX,))],
    ids=["merchant", "external"],
)
def test_the_documents_describe_every_event_with_schema_and_example(
    document: dict[str, object], dialects: tuple[Dialect, ...]
) -> None:
    webhooks = json.loads(json.dumps(document["webhooks"]))
    assert len(webhooks) == sum(len(schema.events_of(dialect)) for dialect in dialects)
    for name, item in webhooks.items():
        body = item["post"]["requestBody"]["content"]["application/json"]
        validator = Draft202012Validator({**body["schema"], "components": document["components"]})
        if "example" in body:
            validator.validate(body["example"])
        assert not validator.is_valid({}), name
