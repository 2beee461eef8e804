"""The explorer at /api/docs: it follows the OpenAPI document."""

import pytest
from django.test import Client

from channels_app.models import User
from channels_app.rest.document import document
from channels_app.rest.explorer import tags
from channels_app.rest.schemas import Schemas
from tests.browsing import page
from tests.pages import signed_in

pytestmark = pytest.mark.django_db


def test_explorer_shows_every_operation_of_the_document() -> None:
    shown = {(operation.method, operation.path) for tag in tags() for operation in tag.operations}
    documented = {(method.upper(), path) for path, found in document()["paths"].items() for method in found}
    assert shown == documented
    html = page(Client(), "/api/docs")
    assert all(f'id="{operation.id}"' in html for tag in tags() for operation in tag.operations)


def test_explorer_has_no_inline_script_or_style() -> None:
    html = page(Client(), "/api/docs")
    assert "style=" not in html
    assert "<script>" not in html
    assert " on" + "click=" not in html


def test_explorer_names_the_user_whose_session_it_sends(olga: User) -> None:
    assert "olga" in page(signed_in(olga), "/api/docs")


def test_operation_for_keys_alone_has_a_command_and_no_form() -> None:
    upload = next(operation for tag in tags() for operation in tag.operations if operation.id == "upload")
    assert upload.needs_key
    assert '-F "file=@FILE"' in upload.curl
    assert upload.curl[-1].endswith('/api/v1/upload/CHANNEL"')


def test_operation_for_sessions_alone_has_a_form_and_no_command_with_a_key() -> None:
    add = next(operation for tag in tags() for operation in tag.operations if operation.title == "Add member")
    assert (add.needs_key, add.curl) == (False, [])
    assert add.description.endswith("This requires a session.")


def test_command_of_a_change_sends_an_example_of_the_body() -> None:
    change = next(operation for tag in tags() for operation in tag.operations if operation.title == "Change channel")
    assert change.curl[-2].startswith('--json \'{"description": ')
    assert {"description", "is_private"} == {member.name for member in change.members}


@pytest.mark.parametrize(
    ("schema", "name", "example"),
    [
        ({"type": "string"}, "string", "text"),
        ({"type": ["string", "null"]}, "string or null", "text"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 5}, "integer or null", 5),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
            "list of Thing",
            [{"kind": "a", "more": []}],
        ),
        ({"type": "string", "format": "date"}, "date", "2026-01-31"),
        ({"$ref": "#/components/schemas/Kind"}, "a | b", "a"),
        ({}, "any", "text"),
    ],
)
def test_schema_has_a_type_in_words_and_an_example(schema: dict[str, object], name: str, example: object) -> None:
    kind = {"enum": ["a", "b"], "type": "string"}
    more = {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}
    thing = {
        "type": "object",
        "properties": {"kind": {"$ref": "#/components/schemas/Kind"}, "more": {**more, "default": []}},
    }
    schemas = Schemas({"Thing": thing, "Kind": kind})
    assert schemas.type_name(schema) == name
    assert schemas.example(schema) == example
