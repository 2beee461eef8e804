"""The rules of docs/writing.md that a program can check: docstrings, pages, messages and documentation."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
FOLDERS = ("bench", "channels_app", "deploy", "hub", "publishing", "tests")
RIDDLE = re.compile(r"\b(what|who|whoever|whom|whose|whatever|nobody|nothing)\b", re.IGNORECASE)
OPENING = re.compile(r"(what|who|whoever|whom|whose|whatever|nobody|nothing|nor|where|whether)\b", re.IGNORECASE)
# Idioms of this project that are no terms of the field.
WORDS = re.compile(
    r"\b(whoever|whomever|nobody|key for minutes|by an error of|is good for nothing|is none of|comes to nothing"
    r"|begin anew|spoken by|go on where|let \w+ in\b|shut \w+ out|Put away)\b",
    re.IGNORECASE,
)
# Names of tests: at least three words, since they state unit, condition and result.
VAGUE_NAME = re.compile(r"test_[^_]+(_[^_]+)?|.*_(what|whoever|whatever|nobody|somebody|nothing)(_.*)?")
WORDS_MAX = 25
RIDDLES_MAX_SHARE = 0.02


def sources() -> Iterator[Path]:
    found = chain.from_iterable((ROOT / folder).rglob("*.py") for folder in FOLDERS)
    return (path for path in found if "migrations" not in path.parts)


@cache
def docstrings() -> dict[str, str]:
    """Return every docstring of the project by its place: `file:line`."""
    found = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                found[f"{path.relative_to(ROOT)}:{node.body[0].lineno}"] = text
    return found


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?:;])\s|\n\n", re.sub(r"[ \t]+", " ", text))


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    assert [place for place, text in docstrings().items() if OPENING.match(text)] == []


def test_docstrings_define_instead_of_asking() -> None:
    first_lines = {place: text.partition("\n")[0] for place, text in docstrings().items()}
    riddles = [f"{place}: {line}" for place, line in first_lines.items() if RIDDLE.search(line)]
    assert len(riddles) <= RIDDLES_MAX_SHARE * len(first_lines), "\n".join(riddles)


def test_names_of_tests_state_unit_and_result() -> None:
    names = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and VAGUE_NAME.fullmatch(node.name)
    ]
    assert names == []


def test_sentences_of_docstrings_are_short() -> None:
    long = [
        f"{place}: {sentence}"
        for place, text in docstrings().items()
        for sentence in sentences(" ".join(text.split()))
        if len(sentence.split()) > WORDS_MAX
    ]
    assert long == []


def test_pages_mails_and_documentation_use_the_terms_of_the_field() -> None:
    folders = (
        (ROOT / "templates").rglob("*.*"),
        (ROOT / "docs").glob("*.md"),
        [ROOT / "README.md", ROOT / "SECURITY.md"],
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in chain.from_iterable(folders)
        if path.name != "writing.md"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if WORDS.search(line)
    ]
    assert found == []


def test_messages_use_the_terms_of_the_field() -> None:
    """Strings of the apps and of hub/, without docstrings."""
    found = []
    for path in sources():
        if path.relative_to(ROOT).parts[0] not in ("channels_app", "hub", "publishing"):
            continue
        tree = ast.parse(path.read_text())
        nodes = list(ast.walk(tree))
        owners = [node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        documents = {id(node.body[0].value) for node in owners if node.body and isinstance(node.body[0], ast.Expr)}
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in documents and " " in node.value.strip() and WORDS.search(node.value)
        ]
    assert found == []
