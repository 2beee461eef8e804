"""The page on which files are selected, the preview of an act, and the act."""

import re
import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Package, Removal, Role, User
from channels_app.packages import packages
from publishing.labels import artifact_labels
from publishing.models import SubdirIndex
from publishing.removal import removal
from tests.builders import make_artifact, make_channel, make_member
from tests.pages import confirm, messages, signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/channels/demo/select"
BOX = re.compile(r'<input type="checkbox" name="file" value="(\d+)" form="selection" [^>]*?( checked)?>')
HIDDEN = re.compile(r'<input type="hidden" name="(file|fingerprint)" value="(\w+)">')


@pytest.fixture
def owner(olga: User, channel: Channel) -> Client:
    return signed_in(olga)


def fill(channel: Channel, files: int, name: str = "demo", **fields: Any) -> list[Artifact]:
    found = [make_artifact(channel, name, f"1.{number}", **fields) for number in range(files)]
    packages.refresh(Package.objects.get(channel=channel, name=name))
    return found


def listed(client: Client, query: str = "") -> list[str]:
    """Return the names of the listed files."""
    answer = client.get(f"{PAGE}{query}")
    assert answer.status_code == 200
    names = dict(Artifact.objects.values_list("pk", "file_name"))
    return [names[int(pk)] for pk, _ in BOX.findall(answer.text)]


def preview(client: Client, act: str, *files: Artifact, status: int = 200) -> Any:
    answer = client.post(PAGE, {"preview": act, "file": [file.pk for file in files]})
    assert answer.status_code == status
    return answer


def shown_fields(answer: Any) -> dict[str, Any]:
    """Return the hidden fields of a preview, as its form sends them."""
    found: dict[str, Any] = {"file": []}
    for name, value in HIDDEN.findall(answer.text):
        if name == "file":
            found["file"].append(value)
        else:
            found[name] = value
    return found


def apply(client: Client, act: str, answer: Any, **values: Any) -> Any:
    return client.post(PAGE, {"action": act, **shown_fields(answer), **values})


def states() -> list[str]:
    return list(Artifact.objects.order_by("pk").values_list("removal", flat=True))


def events() -> list[str]:
    return list(AuditEvent.objects.filter(action__startswith="artifact.").values_list("action", flat=True))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 5),
        ("?name=demo", 3),
        ("?version=1.0", 2),
        ("?version=1.0&name=other", 1),
        ("?build=a", 2),
        ("?subdir=linux-64", 2),
        ("?file_pattern=demo-1.%3F-0.conda", 3),
        ("?file_pattern=*-A.conda", 0),
        ("?file_pattern=*-[a].conda", 0),
        ("?file_pattern=%25", 0),
        ("?state=listed", 3),
        ("?state=yanked", 2),
        ("?since=2026-09-21&until=2026-09-21", 5),
        ("?until=2026-09-20", 0),
    ],
)
def test_list_has_the_files_that_match_all_filters(channel: Channel, owner: Client, query: str, count: int) -> None:
    fill(channel, 3)
    fill(channel, 2, "other", subdir="linux-64", build="a", removal=Removal.YANKED)
    assert len(listed(owner, query)) == count


@pytest.mark.parametrize("query", ["?since=yesterday", "?state=new", "?subdir=win-64", "?until=9999-12-31"])
def test_invalid_filter_lists_no_file(channel: Channel, owner: Client, query: str) -> None:
    fill(channel, 3)
    assert listed(owner, query) == []
    assert 'class="errorlist"' in owner.get(f"{PAGE}{query}").text


def test_select_all_ticks_the_listed_files(channel: Channel, owner: Client) -> None:
    fill(channel, 3)
    fill(channel, 1, "other")
    ticks = BOX.findall(owner.get(f"{PAGE}?name=demo&select=all").text)
    assert [tick for _, tick in ticks] == [" checked"] * 3
    assert [tick for _, tick in BOX.findall(owner.get(PAGE).text)] == [""] * 4
    for query, address in (("?select=all", PAGE), ("?name=demo&select=all", f"{PAGE}?name=demo")):
        assert re.search(rf'action="{re.escape(address)}\??"', owner.get(f"{PAGE}{query}").text)


def test_list_has_the_newest_files_and_select_all_ticks_as_many_as_an_act_takes(
    channel: Channel, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publishing.selections.views.FILES_AT_FIRST", 1)
    monkeypatch.setattr("publishing.selections.views.SELECTION_MAX", 3)
    fill(channel, 3)
    assert listed(owner) == ["demo-1.2-0.conda"]
    assert "Select all 3" in owner.get(PAGE).text
    make_artifact(channel, "demo", "1.3")
    assert "Select the newest 3" in owner.get(PAGE).text
    assert listed(owner, "?select=all") == ["demo-1.3-0.conda", "demo-1.2-0.conda", "demo-1.1-0.conda"]
    assert "The newest 3 files are shown. Narrow the filters to see others." in text(owner.get(f"{PAGE}?select=all"))


def test_twenty_files_are_yanked_with_one_reason_and_one_index_change_for_each_subdir(
    channel: Channel, owner: Client
) -> None:
    files = fill(channel, 10) + fill(channel, 10, subdir="linux-64", build="a")
    before = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    answer = preview(owner, "yank", *files)
    assert "Yank 20 files?" in answer.text
    assert set(states()) == {""}
    done = apply(owner, "yank", answer, reason="broken")
    assert (done.status_code, messages(done)) == (
        302,
        ["20 files are yanked: no longer in the index, but the URLs still work."],
    )
    assert set(Artifact.objects.values_list("removal", "removal_reason")) == {("yanked", "broken")}
    assert events() == ["artifact.yank"] * 20
    after = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    assert after == {subdir: revision + 1 for subdir, revision in before.items()}


def test_selection_is_restored(channel: Channel, owner: Client) -> None:
    files = fill(channel, 2, removal=Removal.YANKED) + fill(channel, 1, "gone", removal=Removal.DELETED)
    done = apply(owner, "restore", preview(owner, "restore", *files))
    assert messages(done) == ["3 files are back in the index."]
    assert set(states()) == {""}


def test_deletion_takes_the_name_of_the_package(channel: Channel, owner: Client) -> None:
    files = fill(channel, 2)
    answer = preview(owner, "delete", *files)
    assert "Type <code>demo</code> to confirm" in answer.text
    refused = apply(owner, "delete", answer, reason="secret", confirmation="no")
    assert (refused.status_code, states()) == (422, ["", ""])
    assert "secret</textarea>" in refused.text
    assert apply(owner, "delete", refused, reason="secret", confirmation="demo").status_code == 302
    assert states() == ["deleted", "deleted"]


def test_deletion_of_several_packages_takes_the_name_of_the_channel(olga: User) -> None:
    channel = make_channel("lab", owner=olga)
    files = [*fill(channel, 1, "one"), *fill(channel, 1, "two")]
    answer = signed_in(olga).post("/channels/lab/select", {"preview": "delete", "file": [file.pk for file in files]})
    assert "Type <code>lab</code> to confirm" in answer.text


def test_preview_names_the_files_that_the_act_leaves(channel: Channel, owner: Client, olga: User) -> None:
    files = fill(channel, 4)
    removal.yank(actor=Actor(user=olga), artifact=files[1], reason="broken on win")
    Artifact.objects.filter(pk=files[2].pk).update(removal=Removal.DELETED)
    Artifact.objects.filter(pk=files[3].pk).update(removal=Removal.DELETED, is_purged=True)
    yank = text(preview(owner, "yank", *files))
    assert "Yank 1 file?" in yank
    assert ": broken on win" in yank.partition("Already yanked by olga")[2]
    assert "Already deleted" in yank
    restore = text(preview(owner, "restore", *files))
    assert "Restore 2 files?" in restore
    assert "Neither yanked nor deleted" in restore
    assert "its bytes are purged" in restore
    assert shown_fields(preview(owner, "restore", *files))["file"] == [str(file.pk) for file in files[1:3]]


def test_preview_without_a_file_to_change_has_no_form(channel: Channel, owner: Client) -> None:
    answer = preview(owner, "restore", *fill(channel, 1))
    assert 'name="action"' not in answer.text
    assert "Select other files" in answer.text


def test_change_since_the_preview_is_refused_and_shown(channel: Channel, owner: Client, olga: User) -> None:
    files = fill(channel, 3)
    answer = preview(owner, "yank", *files)
    removal.yank(actor=Actor(user=olga), artifact=files[0], reason="mine")
    refused = apply(owner, "yank", answer, reason="broken")
    assert refused.status_code == 422
    assert "changed since the preview" in refused.text
    assert ": mine" in text(refused).partition("Already yanked by olga")[2]
    assert states() == ["yanked", "", ""]
    assert apply(owner, "yank", refused, reason="broken").status_code == 302
    assert states() == ["yanked"] * 3


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"removal": Removal.YANKED}])
def test_other_bytes_or_states_since_the_preview_are_refused(
    channel: Channel, owner: Client, change: dict[str, str]
) -> None:
    files = fill(channel, 2)
    answer = preview(owner, "delete", *files)
    Artifact.objects.filter(pk=files[0].pk).update(**change)
    assert apply(owner, "delete", answer, confirmation="demo").status_code == 422
    assert "deleted" not in states()


def test_file_that_is_gone_since_the_preview_is_named(channel: Channel, owner: Client) -> None:
    files = fill(channel, 2)
    answer = preview(owner, "yank", *files)
    files[0].delete()
    refused = apply(owner, "yank", answer)
    assert refused.status_code == 422
    assert "1 of the ticked files does not exist in demo any more" in text(refused)
    assert states() == [""]


def test_file_added_since_the_preview_stays(channel: Channel, owner: Client) -> None:
    answer = preview(owner, "yank", *fill(channel, 2))
    make_artifact(channel, "demo", "1.9")
    assert apply(owner, "yank", answer).status_code == 302
    assert states() == ["yanked", "yanked", ""]


def test_act_without_a_preview_is_refused(channel: Channel, owner: Client) -> None:
    files = fill(channel, 2)
    answer = owner.post(PAGE, {"action": "yank", "file": [file.pk for file in files]})
    assert (answer.status_code, states()) == (422, ["", ""])


def test_files_of_other_channels_are_answered_like_missing_ones(channel: Channel, owner: Client, sam: User) -> None:
    hidden = fill(make_channel("hidden", owner=sam), 1, "secret")
    own = fill(channel, 1)
    answers = [
        re.sub(r'csrfmiddlewaretoken" value="\w+"', "", owner.post(PAGE, {"preview": "yank", "file": ids}).text)
        for ids in ([own[0].pk, hidden[0].pk], [own[0].pk, 999_999], [own[0].pk, "x"], [own[0].pk, "9" * 30])
    ]
    assert len(set(answers)) == 1
    assert "secret" not in answers[0]
    fields = shown_fields(preview(owner, "yank", *own))
    refused = owner.post(PAGE, {"action": "yank", **fields, "file": [own[0].pk, hidden[0].pk]})
    assert refused.status_code == 302
    assert Artifact.objects.get(pk=hidden[0].pk).removal == ""


@pytest.mark.parametrize("fields", [{}, {"preview": "yank"}, {"preview": "release", "file": "1"}, {"action": "x"}])
def test_post_without_files_or_act_leads_back(channel: Channel, owner: Client, fields: dict[str, str]) -> None:
    fill(channel, 1)
    answer = owner.post(f"{PAGE}?name=demo", fields)
    assert (answer.status_code, answer["Location"]) == (302, f"{PAGE}?name=demo")
    assert messages(answer) == ["Tick 1 to 500 files, then choose what to do with them."]


def test_more_than_500_files_are_refused(channel: Channel, owner: Client) -> None:
    fill(channel, 1)
    answer = owner.post(PAGE, {"preview": "yank", "file": list(range(1, 502))})
    assert (answer.status_code, states()) == (302, [""])


def test_role_without_the_permission_to_delete_gets_403(channel: Channel, max_: User, sam: User) -> None:
    file = fill(channel, 1)[0]
    make_member(channel, max_, Role.CONTRIBUTOR)
    for client, status in ((signed_in(max_), 403), (signed_in(sam), 404), (Client(), 302)):
        assert client.get(PAGE).status_code == status
        answer = client.post(PAGE, {"action": "yank", "file": file.pk, "fingerprint": removal.fingerprint([file])})
        assert answer.status_code == status
    assert states() == [""]


def test_act_without_a_csrf_token_is_refused(channel: Channel, olga: User) -> None:
    file = fill(channel, 1)[0]
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    answer = client.post(PAGE, {"action": "yank", "file": file.pk, "fingerprint": removal.fingerprint([file])})
    assert (answer.status_code, states()) == (403, [""])


@pytest.mark.parametrize("count", [2, 30])
def test_pages_cost_as_many_queries_for_30_files_as_for_2(
    channel: Channel, owner: Client, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    files = fill(channel, count)
    for number in range(count):
        make_artifact(channel, f"user{number}", index_json={"depends": ["demo >=1.0"]})
    packages.refresh_each(Package.objects.all())
    with django_assert_num_queries(8):
        owner.get(f"{PAGE}?name=demo")
    with django_assert_num_queries(14):
        answer = preview(owner, "yank", *files)
    assert answer.text.count("needs <code>demo &gt;=1.0</code>") == count


@pytest.mark.parametrize("path", ["packages/demo", "packages/demo/1.0"])
def test_pages_of_a_package_have_ticks_for_those_who_may_delete(
    channel: Channel, owner: Client, max_: User, path: str
) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    file = fill(channel, 1)[0]
    found = owner.get(f"/channels/demo/{path}").text
    assert BOX.findall(found) == [(str(file.pk), "")]
    assert f'action="{PAGE}?name=demo&amp;version=1.0"' in found
    assert listed(owner, "?name=demo&version=1.0&select=all") == [file.file_name]
    assert "selection" not in signed_in(max_).get(f"/channels/demo/{path}").text


def test_ticked_files_are_promoted_on_the_page_of_promotions(channel: Channel, owner: Client, olga: User) -> None:
    file = fill(channel, 1)[0]
    make_channel("lab", owner=olga)
    address = re.findall(r'formaction="([^"]*)"', owner.get(PAGE).text)
    assert address == ["/channels/demo/promote"]
    assert file.file_name in owner.post(address[0], {"file": file.pk}).text.replace("<wbr>", "")


def test_restore_continues_with_all_files_after_the_password(channel: Channel, olga: User) -> None:
    files = fill(channel, 3, removal=Removal.YANKED)
    olga.set_password("tungsten-Lantern-7")
    olga.save()
    client = signed_in(olga, is_fresh=False)
    confirm(client, olga, at=time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 1)
    asked = apply(client, "restore", preview(client, "restore", *files))
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert set(states()) == {"yanked"}
    client.post(asked["Location"], {"password": "tungsten-Lantern-7"})
    assert set(states()) == {""}


def test_labels_of_ticked_files_change_together(channel: Channel, owner: Client) -> None:
    one, two, left = fill(channel, 3)
    fields = shown_fields(preview(owner, "label", one, two))
    answer = owner.post(PAGE, fields | {"action": "label", "add": "dev, RC", "remove": "main"})
    assert (answer.status_code, messages(answer)) == (302, ["2 files are labeled. The indexes follow within seconds."])
    assert [file.label_names for file in Artifact.objects.order_by("pk")] == [["dev", "rc"], ["dev", "rc"], ["main"]]
    assert listed(owner, "?label=dev") == [two.file_name, one.file_name]
    assert listed(owner, "?label=main") == [left.file_name]


@pytest.mark.parametrize(
    "values",
    [{}, {"add": "a b"}, {"remove": "main"}, {"add": "dev", "remove": "dev"}],
    ids=["no", "bad", "last", "both"],
)
def test_change_of_labels_that_is_not_possible_is_refused(
    channel: Channel, owner: Client, values: dict[str, str]
) -> None:
    [one] = fill(channel, 1)
    fields = shown_fields(preview(owner, "label", one))
    answer = owner.post(PAGE, fields | {"action": "label"} | values)
    assert (answer.status_code, one.label_names) == (422, ["main"])


def test_labels_that_changed_since_the_preview_are_left(channel: Channel, owner: Client, olga: User) -> None:
    [one] = fill(channel, 1)
    fields = shown_fields(preview(owner, "label", one))
    artifact_labels.change_selection(
        actor=Actor(user=olga), channel=channel, selection=Artifact.objects.filter(pk=one.pk), add=["rc"]
    )
    answer = owner.post(PAGE, fields | {"action": "label", "add": "dev"})
    assert (answer.status_code, "changed since the preview" in text(answer)) == (422, True)
    assert one.label_names == ["main", "rc"]
