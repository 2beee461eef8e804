"""Private names of libraries: each stands in one module of its library, and still exists after an upgrade.

A failure of the first tests names the module to look at before the new version is locked.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from allauth.idp.oidc.models import Token
from allauth.idp.oidc.views import AuthorizationView

from channels_app.accounts.oauth import token_families
from publishing.attestations.sigstore_internals import SHIPPED_ROOT
from tests.live import ROOT

# Module, private or undocumented name, and the parameters of a method that the hub overrides or calls.
NAMES = [
    ("atexit", "_run_exitfuncs", None),
    ("gunicorn.workers.gthread", "_DEFER", None),
    ("gunicorn.workers.gthread", "STOP_KEEPALIVE_LINGER", None),
    ("gunicorn.workers.gthread", "ThreadWorker.handle", ["self", "conn"]),
    ("gunicorn.workers.gthread", "ThreadWorker.murder_pending", ["self"]),
    ("gunicorn.workers.gthread", "ThreadWorker.set_accept_enabled", ["self", "enabled"]),
    ("gunicorn.workers.gthread", "ThreadWorker.finish_request", ["self", "conn", "fs"]),
    ("gunicorn.workers.gthread", "ThreadWorker._keepalive_after", ["self", "conn", "keepalive"]),
    ("gunicorn.http.unreader", "Unreader.take_buffered", ["self"]),
    ("gunicorn.http.unreader", "Unreader.unread", ["self", "data"]),
    ("django.db.backends.base.base", "BaseDatabaseWrapper.make_cursor", ["self", "cursor"]),
    ("django.db.backends.base.base", "BaseDatabaseWrapper.make_debug_cursor", ["self", "cursor"]),
    ("django.db.models.sql", "InsertQuery.insert_values", ["self", "fields", "objs", "raw"]),
    (
        "django.db.backends.postgresql.client",
        "DatabaseClient.settings_to_cmd_args_env",
        ["settings_dict", "parameters"],
    ),
    ("kombu.transport.virtual", "Channel._put", ["self", "queue", "message"]),
    ("kombu.transport.virtual", "Channel._get", ["self", "queue", "timeout"]),
    ("kombu.transport.virtual", "Channel._size", ["self", "queue"]),
    ("kombu.transport.virtual", "Channel._purge", ["self", "queue"]),
    ("botocore.parsers", "DEFAULT_TIMESTAMP_PARSER", None),
    ("prometheus_client.values", "ValueClass", None),
    ("prometheus_client.values", "MultiProcessValue", ["process_identifier"]),
    ("sigstore.models", "TrustedRoot", ["inner"]),
    ("sigstore.verify.verifier", "Verifier._verify_timestamp_authority", ["self", "bundle"]),
    ("allauth.account.internal.flows.email_verification_by_code", "EMAIL_VERIFICATION_CODE_SESSION_KEY", None),
    ("allauth.account.internal.flows.reauthentication", "suspend_request", ["request", "redirect_to"]),
    ("allauth.account.internal.stagekit", "LOGIN_SESSION_KEY", None),
    ("allauth.core.internal.httpkit", "extract_basic_auth", ["headers"]),
    ("allauth.idp.oidc.internal.oauthlib.device_codes", "cache_device_code_key", ["device_code"]),
    (
        "allauth.idp.oidc.internal.oauthlib.device_codes",
        "confirm_or_deny_device_code",
        ["user", "device_code", "confirm"],
    ),
    ("allauth.mfa.totp.internal.auth", "validate_totp_code", ["secret", "code"]),
]
OURS = ("hub", "channels_app", "publishing", "deploy")
# Names with an underscore that their libraries document.
DOCUMENTED = {
    *("_meta", "_state", "_default_manager", "_base_manager"),  # Django's models
    *("_asdict", "_fields", "_replace"),  # named tuples
    *("_put", "_get", "_size", "_purge"),  # of kombu's virtual channels, which have to define them
    "_Hash",  # the type of hashlib's objects, which only type checkers know
}
BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
PRIVATE = re.compile(r"_(?!_)\w+")
FILES = [
    path
    for room in OURS
    for path in sorted((ROOT / room).rglob("*.py"))
    if "migrations" not in path.parts and not path.stem.endswith("_internals")
]


@pytest.mark.parametrize(("module", "name", "parameters"), NAMES, ids=[name for _, name, _ in NAMES])
def test_private_name_of_a_library_exists(module: str, name: str, parameters: list[str] | None) -> None:
    found = attrgetter(name)(import_module(module))
    if parameters is not None:
        assert list(inspect.signature(found).parameters) == parameters


def test_thread_pool_has_a_work_queue() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool._work_queue.empty()


def test_sigstore_ships_its_trust_root() -> None:
    assert {"root.json", "trusted_root.json"} <= {path.name for path in SHIPPED_ROOT.iterdir()}


def test_consent_page_of_allauth_keeps_its_request() -> None:
    assert {"self._request_info", "self._scopes"} <= set(
        re.findall(r"self\._\w+", inspect.getsource(AuthorizationView))
    )


def test_type_of_used_refresh_tokens_is_not_one_of_allauth() -> None:
    assert token_families.USED not in Token.Type.values


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_module_uses_no_private_name_of_a_library(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert [*_private_imports(tree), *_private_attributes(tree), *_names_of_bases(tree, path)] == []


@pytest.mark.parametrize(
    "source",
    [
        "from gunicorn.workers.gthread import _DEFER",
        "from allauth.core.internal.httpkit import extract_basic_auth",
        "import psycopg._queries",
        "import gunicorn\ngunicorn._name",
        "def count(pool):\n    return pool._work_queue.qsize()",
        "class Own:\n    def show(self):\n        return self._defined_elsewhere",
        "setattr(response, '_csp_update', {})",
    ],
)
def test_private_names_are_found(source: str) -> None:
    tree = ast.parse(source)
    assert len([*_private_imports(tree), *_private_attributes(tree)]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from hub.server import _name",
        "from __future__ import annotations",
        "class Own:\n    def __init__(self):\n        self._name = 1\n    def _show(self):\n        return self._name",
        "class Own:\n    _count = 0\n\nOwn._count += 1",
        "def label(model):\n    return model._meta.label",
    ],
)
def test_own_and_documented_names_are_allowed(source: str) -> None:
    tree = ast.parse(source)
    assert [*_private_imports(tree), *_private_attributes(tree)] == []


def test_overridden_private_method_is_found() -> None:
    path = ROOT / "hub" / "server" / "gunicorn_internals.py"
    assert list(_names_of_bases(ast.parse(path.read_text()), path)) == ["ThreadWorker._keepalive_after"]


def _private_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{each.name}" for each in node.names]
        for module in modules:
            first, *rest = module.split(".")
            if first not in OURS and any(part == "internal" or PRIVATE.fullmatch(part) for part in rest):
                yield module


def _private_attributes(tree: ast.AST) -> Iterator[str]:
    """Return the private attributes that are used, but neither documented nor defined in the module itself."""
    allowed = _defined(tree) | DOCUMENTED
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME and isinstance(node.args[1], ast.Constant):
            name = str(node.args[1].value)
        if PRIVATE.fullmatch(name) and name not in allowed:
            yield ast.unparse(node)


def _names_of_bases(tree: ast.Module, path: Path) -> Iterator[str]:
    """Return the private names of classes that their bases from libraries have, too: overridden on purpose or not."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
    if not classes:
        return
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    for node in classes:
        bases = [base for base in getattr(module, node.name).__mro__ if base.__module__.split(".")[0] not in OURS]
        theirs = {name for base in bases for name in PRIVATE.findall(_source(base))}
        yield from (f"{node.name}.{name}" for name in (_defined(node) & theirs) - DOCUMENTED)


def _defined(tree: ast.AST) -> set[str]:
    """Return the names that functions, assignments and assigned attributes define."""
    defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            defined.add(node.id if isinstance(node, ast.Name) else node.attr)
    return {name for name in defined if PRIVATE.fullmatch(name)}


@cache
def _source(base: type) -> str:
    try:
        return inspect.getsource(base)
    except (OSError, TypeError):  # built in
        return " ".join(vars(base))
