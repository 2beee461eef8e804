"""Tests of `manage.py preparehub`: its steps before every start, and those of the first start."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from pytest_django import Settings

from channels_app.management.commands import preparehub
from channels_app.models import User
from tests.builders import make_user

Calls = list[tuple[object, ...]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Record the commands that it calls instead of running them."""
    calls: Calls = []
    monkeypatch.setattr(preparehub, "call_command", lambda *command, **_: calls.append(command))
    return calls


def prepare() -> tuple[str, str]:
    """Return its output and its warnings."""
    out, err = StringIO(), StringIO()
    call_command("preparehub", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("password", "shown"), [("given", "from HUB_ADMIN_PASSWORD"), ("", r"[\w-]{16} \(shown this once\)")]
)
def test_first_start_migrates_and_creates_an_administrator(
    db: None, settings: Settings, called: Calls, password: str, shown: str
) -> None:
    settings.HUB_ADMIN_USERNAME, settings.HUB_ADMIN_PASSWORD = "root", password
    printed, _ = prepare()
    assert called == [("migrate",), ("checkstore",)]
    assert re.fullmatch(rf"Administrator: root, password: {shown}\n", printed)
    administrator = User.objects.get()
    assert administrator.is_superuser
    assert administrator.check_password(password or printed.split()[3])


def test_store_check_without_verbosity_prints_problems_alone(db: None) -> None:
    out = StringIO()
    call_command("preparehub", verbosity=0, stdout=out)
    assert re.fullmatch(r"Administrator: .+\n", out.getvalue())


def test_later_start_only_migrates(db: None, called: Calls) -> None:
    make_user("olga")
    assert prepare() == ("", "")
    assert called == [("migrate",)]


def test_failed_store_check_does_not_stop_the_start(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(name: str, **_: object) -> None:
        if name == "checkstore":
            raise CommandError("The hub can't work with this store.")

    monkeypatch.setattr(preparehub, "call_command", call)
    assert (
        prepare()[1]
        == "Check of the store failed: The hub can't work with this store. Run `manage.py checkstore` to repeat it.\n"
    )
    assert User.objects.exists()


def test_unreachable_database_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(name: str, **_: object) -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(preparehub, "call_command", call)
    with pytest.raises(CommandError, match=r"^The database can't be used: connection refused$"):
        prepare()
