"""Every form of every page has its endpoint, by the table tests/rest/forms.txt."""

import re
from pathlib import Path

from django.conf import settings
from django.urls import resolve

from channels_app.rest.document import document

TABLE = Path(__file__).with_name("forms.txt")
TEMPLATES = Path(settings.BASE_DIR) / "templates"
FORM = re.compile(r'<form\b[^>]*method="post".*?</form>', re.DOTALL)
ACTION = re.compile(r'name="action" value="([\w-]+)"')
BUTTON = re.compile(r'<button\b[^>]* name="(\w+)"')
PARAMETER = re.compile(r"\{\w+\}")

Form = tuple[str, str]


def forms() -> set[Form]:
    """Return template and action of each form. A button without an action is named instead."""
    found: set[Form] = set()
    for path in TEMPLATES.rglob("*.html"):
        for form in FORM.findall(path.read_text()):
            actions = ACTION.findall(form) or BUTTON.findall(form) or ["-"]
            found |= {(str(path.relative_to(TEMPLATES)), action) for action in actions}
    return found


def table() -> dict[Form, list[str]]:
    """Return (template, action) → the words after them."""
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {(template, action): words for template, action, *words in rows}


def endpoints() -> set[str]:
    """Return method and route of each documented operation."""
    return {
        f"{method.upper()} {resolve(PARAMETER.sub('1', path)).view_name}"
        for path, methods in document()["paths"].items()
        for method in methods
    }


def is_listed(form: Form) -> bool:
    return form in table() or (f"{form[0].partition('/')[0]}/*", "-") in table()


def test_every_form_has_an_endpoint_or_a_stated_exception() -> None:
    assert {form for form in forms() if not is_listed(form)} == set()


def test_every_row_names_a_form_that_exists() -> None:
    found = forms()
    folders = {template.partition("/")[0] for template, _ in found}
    named = {form for form in table() if not form[0].endswith("/*")}
    assert named - found == set()
    assert {template.removesuffix("/*") for template, _ in table() if template.endswith("/*")} <= folders


def test_every_endpoint_in_the_table_exists() -> None:
    named: set[str] = set()
    for words in table().values():
        if words[0] == "none:":
            assert len(words) > 1
        else:
            named |= {f"{method} {route}" for method, route in zip(words[::2], words[1::2], strict=True)}
    assert named - endpoints() == set()
