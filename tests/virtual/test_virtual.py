"""Changes of members and rules, on the page and by the REST API, and refusals."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, Channel, ChannelKind, Role, User
from hub.errors import HubError
from publishing.index import builds
from publishing.models import VirtualMember
from publishing.virtual import virtual
from publishing.virtual.forms import rule_text
from publishing.virtual.virtual import MEMBERS_MAX, RULES_MAX, MemberText, RuleText, Wanted
from tests.builders import make_artifact, make_channel, make_key, make_label, make_member
from tests.pages import signed_in, text
from tests.rest.calls import by_key, by_session, code
from tests.virtual.channels import build_all, make_virtual, member_text, set_members

pytestmark = pytest.mark.django_db
PATH = "channels/all/virtual"
PAGE = "/channels/all/settings/virtual"


@pytest.fixture
def acme(olga: User) -> Channel:
    channel = make_channel("acme", owner=olga)
    for name in ("acme-tool", "numpy"):
        make_artifact(channel, name)
    return channel


@pytest.fixture
def forge() -> Channel:
    channel = make_channel("forge", is_private=False)
    for name in ("numpy", "zlib"):
        make_artifact(channel, name)
    return channel


@pytest.fixture
def merged(olga: User, acme: Channel, forge: Channel) -> Channel:
    return make_virtual(olga, "acme", "forge")


def change(user: User, channel: Channel, *members: str, rules: tuple[RuleText, ...] = ()) -> None:
    wanted = Wanted([member_text(each) for each in members], rules)
    virtual.change(actor=Actor(user=user), channel=channel, wanted=wanted)


def body(*members: str, **values: Any) -> dict[str, Any]:
    return {"members": [{"channel": each} for each in members], **values}


def test_change_keeps_the_order_and_is_recorded(olga: User, merged: Channel) -> None:
    rules = (RuleText("acme-*", "only_from", "acme"),)
    change(olga, merged, "forge", "acme", rules=rules)
    assert virtual.stated(merged) == Wanted([MemberText("forge"), MemberText("acme")], list(rules))
    event = AuditEvent.objects.filter(action=Action.VIRTUAL_CHANGE).latest("pk")
    assert event.detail == {
        "members": {"from": ["acme", "forge"], "to": ["forge", "acme"]},
        "rules": {"from": [], "to": ["acme-* only from acme"]},
    }


def test_change_without_a_difference_requests_no_build(olga: User, merged: Channel) -> None:
    build_all()
    before = AuditEvent.objects.count()
    set_members(olga, merged, "acme", "forge")
    assert all(index.is_current for index in merged.indexes.all())
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    ("members", "rules", "expected"),
    [
        (("acme", "other"), (), "bad_member"),
        (("acme/label/none",), (), "bad_member"),
        (("acme/label/No!",), (), "bad_label"),
        (("nil",), (), "no_access"),
        (("secret",), (), "no_access"),
        (("all",), (), "bad_member"),
        (("acme",) * 2 + tuple(f"c{n}" for n in range(MEMBERS_MAX)), (), "too_many_members"),
        (("acme",), (RuleText("a", "only_from", "secret"),), "no_access"),
        (("acme",), (RuleText("a b", "only_from", "acme"),), "bad_rule"),
        (("acme",), (RuleText("a", "never_from"),), "bad_rule"),
        (("acme",), (RuleText("a", "sometimes", "acme"),), "bad_rule"),
        (("acme",), tuple(RuleText(f"a{n}", "only_from") for n in range(RULES_MAX + 1)), "too_many_rules"),
    ],
)
def test_bad_members_and_rules_are_refused(
    olga: User, merged: Channel, members: tuple[str, ...], rules: tuple[RuleText, ...], expected: str
) -> None:
    make_channel("secret")
    make_channel("other", is_private=False, kind=ChannelKind.VIRTUAL)
    with pytest.raises(HubError) as refused:
        change(olga, merged, *members, rules=rules)
    assert refused.value.code == expected
    assert list(VirtualMember.objects.values_list("member__name", flat=True)) == ["acme", "forge"]


def test_channel_with_own_packages_has_no_members(olga: User, acme: Channel, forge: Channel) -> None:
    with pytest.raises(HubError) as refused:
        change(olga, acme, "forge")
    assert refused.value.code == "not_virtual"


def test_contributor_changes_no_members(merged: Channel, acme: Channel, sam: User) -> None:
    for channel in (merged, acme):
        make_member(channel, sam, Role.CONTRIBUTOR)
    with pytest.raises(HubError) as refused:
        change(sam, merged, "acme")
    assert refused.value.code == "role_missing"


def test_virtual_channel_takes_no_uploads_for_its_owner(olga: User, merged: Channel) -> None:
    upload = Client(headers={"Authorization": f"Bearer {make_key(olga)}"}).post("/api/v1/upload/all", {"file": "x"})
    assert (upload.status_code, upload.headers["X-Error-Code"]) == (403, "channel_takes_no_uploads")
    labels = by_session(olga).post("channels/all/labels", {"name": "dev"})
    assert code(labels) == (403, "channel_takes_no_uploads")


def test_import_into_a_virtual_channel_is_refused(olga: User, merged: Channel) -> None:
    with pytest.raises(CommandError, match="has no packages of its own"):
        call_command("importchannel", "all", "--owner", "olga")


def test_preview_lists_the_first_changes_without_saving_them(olga: User, merged: Channel) -> None:
    wanted = Wanted([MemberText("forge")], [RuleText("z*", "only_from")])
    found = virtual.preview(actor=Actor(user=olga), channel=merged, wanted=wanted)
    assert (found.added, found.removed, found.moved) == (0, 2, 1)
    assert found.first == [("acme-tool", "acme", ""), ("numpy", "acme", "forge"), ("zlib", "forge", "")]
    assert virtual.stated(merged).members == [MemberText("acme"), MemberText("forge")]


def test_preview_of_a_new_member_lists_its_names(olga: User, merged: Channel) -> None:
    make_artifact(make_channel("more", is_private=False), "extra")
    wanted = Wanted([MemberText("more"), MemberText("acme"), MemberText("forge")])
    found = virtual.preview(actor=Actor(user=olga), channel=merged, wanted=wanted)
    assert (found.count, found.first) == (1, [("extra", "", "more")])


def test_manager_without_a_member_saves_but_previews_no_names(
    olga: User, merged: Channel, acme: Channel, sam: User
) -> None:
    make_member(merged, sam, Role.MAINTAINER)
    client = signed_in(sam)
    assert client.get("/channels/all").status_code == 403
    assert "acme" in text(client.get(PAGE))
    assert "Names that it brings" not in text(client.get(PAGE))
    assert "Names that it brings" in text(signed_in(olga).get(PAGE))
    shown = text(client.post(PAGE, {"members": "forge", "rules": "", "action": "preview"}))
    assert "t read every member of" in shown
    assert "zlib" not in shown
    assert client.post(PAGE, {"members": "forge", "rules": "", "action": "save"}).status_code == 302
    assert virtual.stated(merged).members == [MemberText("forge")]
    assert client.get("/channels/all").status_code == 200


def test_member_that_the_reader_may_not_read_hides_the_pages(merged: Channel, sam: User) -> None:
    make_member(merged, sam)
    client = signed_in(sam)
    for path in ("/channels/all", "/channels/all/packages/zlib", PAGE):
        assert client.get(path).status_code == 404
    assert "all" not in [row["name"] for row in by_session(sam).get("channels").json()["items"]]


def test_page_previews_and_saves(olga: User, merged: Channel) -> None:
    client = signed_in(olga)
    posted = {"members": "forge\n acme ", "rules": "zlib reserved\nacme-* only from acme"}
    shown = text(client.post(PAGE, posted | {"action": "preview"}))
    assert "0 come, 1 go, 1 come from another member" in shown
    assert client.post(PAGE, posted | {"action": "save"}).status_code == 302
    assert [str(rule) for rule in virtual.stated(merged).rules] == ["acme-* only from acme", "zlib reserved"]
    refused = text(client.post(PAGE, {"members": "acme", "rules": "zlib maybe", "action": "save"}))
    assert "is no rule. Expected" in refused


def test_page_of_the_channel_names_the_member_of_each_package(olga: User, merged: Channel) -> None:
    build_all()
    client = signed_in(olga)
    shown = text(client.get("/channels/all?q=num"))
    assert "numpy" in shown
    assert "zlib" not in shown
    for page in ("zlib", "zlib/1.0"):
        answer = client.get(f"/channels/all/packages/{page}")
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/channels/forge/packages/{page}")
    for page in ("nil", "nil/1.0"):
        assert client.get(f"/channels/all/packages/{page}").status_code == 404


def test_new_channel_of_other_channels_opens_its_members(olga: User) -> None:
    client = signed_in(olga)
    answer = client.post("/channels/new", {"name": "both", "is_private": "public", "kind": "virtual"})
    assert answer.headers["Location"] == "/channels/both/settings/virtual"
    assert Channel.objects.get(name="both").kind == ChannelKind.VIRTUAL
    client.post("/channels/new", {"name": "plain", "is_private": "public"})
    assert Channel.objects.get(name="plain").kind == ChannelKind.PACKAGES


def test_api_creates_changes_and_previews(olga: User, acme: Channel, forge: Channel) -> None:
    caller = by_session(olga)
    assert caller.post("channels", {"name": "all", "kind": "virtual", "is_private": False}).status_code == 201
    rules = [{"names": "zlib", "act": "only_from", "channel": None}]
    dry = caller.put(PATH, body("acme", "forge", rules=rules, dry_run=True)).json()
    assert dry["changes"]["added"] == 2
    assert dry["changes"]["first"][0] == {"name": "acme-tool", "before": None, "after": "acme"}
    assert caller.get(PATH).json()["members"] == []
    saved = caller.put(PATH, body("acme", "forge", rules=rules)).json()
    assert (saved["rules"], saved["changes"]) == (rules, None)
    assert saved == caller.get(PATH).json()
    names = caller.get(f"{PATH}/names").json()["items"]
    assert names == [{"name": name, "channel": "acme", "label": None} for name in ("acme-tool", "numpy")]


def test_api_needs_a_session_for_changes(olga: User, merged: Channel) -> None:
    answer = by_key(olga, "read", "manage").put(PATH, body("acme"))
    assert code(answer) == (403, "person_needed")


def test_label_main_is_the_channel_itself(olga: User, merged: Channel, acme: Channel) -> None:
    make_label(acme, "dev")
    change(olga, merged, "acme/label/main", "acme/label/dev")
    assert virtual.stated(merged).members == [MemberText("acme"), MemberText("acme", "dev")]


@pytest.mark.parametrize("line", ["acme-* only from acme", "numpy never from forge", "secret-* reserved"])
def test_rule_of_a_line_reads_as_the_line(line: str) -> None:
    assert str(rule_text(line)) == line


def test_member_with_a_label_counts_its_own_names(olga: User, merged: Channel, acme: Channel) -> None:
    dev = make_artifact(acme, "dev-tool", is_main=False)
    dev.labels.add(make_label(acme, "dev"))
    builds.schedule_label_builds(acme, "noarch", {"dev": ["dev-tool"]})
    change(olga, merged, "acme/label/dev", "forge")
    assert merged.virtual_names.get(name="dev-tool").member.label == "dev"
    assert not merged.virtual_names.filter(name="acme-tool").exists()
