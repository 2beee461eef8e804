"""The page of a channel's retention rules."""

import pytest
from django.test import Client

from channels_app.models import Artifact, Channel, RetentionRule, User
from channels_app.packages import packages
from publishing.retention import views
from tests.browsing import page
from tests.builders import make_artifact
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/channels/demo/settings/retention"


@pytest.fixture
def owner(olga: User, channel: Channel) -> Client:
    for version in ("1.0", "2.0", "3.0"):
        make_artifact(channel, "lib", version)
    return signed_in(olga)


def form(action: str, **values: str) -> dict[str, str]:
    return {"action": action, "title": "old builds", "keep_versions": "1"} | values


def test_rule_is_previewed_added_changed_and_removed(owner: Client) -> None:
    preview = text(owner.post(PAGE, form("preview", names="lib\napp*", delete_after_days="9")))
    for words in ("2 yanked, 0 deleted", "noarch/lib-1.0-0.conda", "2 newer versions"):
        assert words in preview
    assert not RetentionRule.objects.exists()
    answer = owner.post(PAGE, form("save", names="lib\napp*", protected_versions=">=3,<4\n", delete_after_days="9"))
    assert (answer.status_code, messages(answer)) == (302, [views.ADDED])
    rule = RetentionRule.objects.get()
    assert (rule.names, rule.protected_versions, rule.delete_after_days) == (["lib", "app*"], [">=3,<4"], 9)
    for words in (
        "old builds",
        "lib, app*; protects versions &gt;=3,&lt;4",
        "not the newest version",
        "9 days later",
    ):
        assert words in page(owner, PAGE)
    assert "noarch/lib-2.0-0.conda" in page(owner, f"{PAGE}?plan")
    assert "lib\napp*</textarea>" in page(owner, f"{PAGE}?edit={rule.pk}")
    number = str(rule.pk)
    changed = text(owner.post(PAGE, form("preview", rule=number, keep_versions="2")))
    assert ("lib-1.0-0" in changed, "lib-2.0-0" in changed) == (True, False)
    owner.post(PAGE, form("save", rule=number, keep_versions="2"))
    assert RetentionRule.objects.get().keep_versions == 2
    assert messages(owner.post(PAGE, {"action": "remove", "rule": number}))[-1] == views.REMOVED
    assert not RetentionRule.objects.exists()
    assert set(Artifact.objects.values_list("removal", flat=True)) == {""}


def test_rule_has_labels_on_its_page(owner: Client) -> None:
    owner.post(PAGE, form("save", labels="dev\npr-*", without_labels="main", protected_labels="lts"))
    rule = RetentionRule.objects.get()
    assert (rule.labels, rule.without_labels, rule.protected_labels) == (["dev", "pr-*"], ["main"], ["lts"])
    shown = page(owner, PAGE)
    for words in ("protects labels lts", "labeled dev or pr-* and not labeled main and not the newest version"):
        assert words in shown


def test_preview_names_packages_that_lose_a_dependency(owner: Client, channel: Channel) -> None:
    packages.refresh(make_artifact(channel, "app", index_json={"depends": ["lib <3"]}).package)
    preview = text(owner.post(PAGE, form("preview")))
    assert "Packages that lose a dependency" in preview
    assert "<code>lib &lt;3</code>" in preview
    assert "lose a dependency" not in text(owner.post(PAGE, form("preview", keep_versions="9")))


def test_preview_says_how_many_more_files_go(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "SHOWN_MAX", 1)
    assert "1 more files go" in text(owner.post(PAGE, form("preview")))
    assert "No file goes" in text(owner.post(PAGE, form("preview", keep_versions="9")))


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"keep_versions": ""},
        {"keep_versions": "0"},
        {"older_than_days": "x"},
        {"names": "A b"},
        {"protected_versions": ">="},
    ],
)
def test_bad_rule_is_refused_in_the_form(owner: Client, values: dict[str, str]) -> None:
    for action in ("preview", "save"):
        answer = owner.post(PAGE, form(action, **values))
        assert answer.status_code == 200
        assert "alert error" in answer.content.decode()
    assert not RetentionRule.objects.exists()


@pytest.mark.parametrize("number", ["0", "x", "\u00b2", "9" * 30])
def test_missing_rule_is_404(owner: Client, number: str) -> None:
    assert owner.get(f"{PAGE}?edit={number}").status_code == 404
    for action in ("preview", "save", "remove"):
        assert owner.post(PAGE, form(action, rule=number)).status_code == 404
