"""JSON schemas of the OpenAPI document as text: the name of a type, and an example of a value."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

EXAMPLES = {"date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "uuid": "00000000-0000-0000-0000-000000000000"}
PLAIN: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}
DEPTH_MAX = 4


class Schemas:
    """The named schemas of a document."""

    def __init__(self, named: dict[str, Schema]) -> None:
        self._named = named

    def resolve(self, schema: Schema) -> Schema:
        """Return the schema that a reference names, or the schema itself."""
        reference = schema.get("$ref")
        return self._named[reference.rpartition("/")[2]] if reference else schema

    def type_name(self, schema: Schema) -> str:
        """Return the type in words, such as `list of MemberState` or `text or null`."""
        if "$ref" in schema:
            target = self.resolve(schema)
            return self.type_name(target) if "enum" in target else str(schema["$ref"].rpartition("/")[2])
        if choices := _choices(schema):
            return " or ".join(dict.fromkeys(self.type_name(choice) for choice in choices))
        if "const" in schema or "enum" in schema:
            return " | ".join("null" if value is None else str(value) for value in values(schema))
        if schema.get("type") == "array":
            return f"list of {self.type_name(schema.get('items', {}))}"
        return str(schema.get("format") or schema.get("type") or "any")

    def example(self, schema: Schema, depth: int = 0) -> Any:
        """Return a value that the schema allows, mostly."""
        found = self.resolve(schema) | {name: value for name, value in schema.items() if name == "default"}
        if found.get("default") is not None:
            return found["default"]
        if choices := _choices(found):
            return self.example(choices[0], depth)
        if "const" in found or "enum" in found:
            return values(found)[0]
        kind = _first(found.get("type"))
        if kind == "array":
            return [self.example(found.get("items", {}), depth + 1)] if depth < DEPTH_MAX else []
        if kind == "object" or "properties" in found:
            named = found.get("properties", {}) if depth < DEPTH_MAX else {}
            return {name: self.example(each, depth + 1) for name, each in named.items()}
        return EXAMPLES.get(found.get("format", ""), PLAIN.get(kind, "text"))

    def choices(self, schema: Schema) -> list[Any]:
        """Return the only values that the schema allows, if it lists them."""
        found = self.resolve(schema)
        listed = [value for choice in _choices(found) for value in self.choices(choice)]
        return listed or values(found) or ([True, False] if _first(found.get("type")) == "boolean" else [])

    def properties(self, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
        """Return name, schema and whether it is required, for each member of an object."""
        found = self.resolve(schema)
        required = found.get("required", [])
        for name, each in found.get("properties", {}).items():
            yield name, each, name in required


def values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))


def _choices(schema: Schema) -> list[Schema]:
    """Return the alternatives of a schema. A list of types is one, too."""
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    if "properties" in schema:
        return []  # its alternatives only say which members are required
    return list(schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or [])


def _first(kind: Any) -> str:
    return str(kind[0] if isinstance(kind, list) else kind)
