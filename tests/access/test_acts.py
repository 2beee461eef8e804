"""Tests of the table of acts: it has every route that changes something, and each act behaves as its row says."""

import time
from http import HTTPStatus
from pathlib import Path

import orjson
import pytest
from django.conf import settings as django_settings
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from channels_app.access import acts
from channels_app.access.acts import ACTS, Act, ActRoute, Audience
from channels_app.access.permissions import SCOPES, Actor
from channels_app.audit import descriptions, notifications
from channels_app.docs import views
from channels_app.models import AuditEvent
from hub import protocols
from hub.storage import store
from publishing.removal import removal
from publishing.uploads import upload
from tests.access.test_matrix import address, body, rows
from tests.act_requests import ACT_REQUESTS, ActRequest, demo, make_world, moved_promotion, somebody
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_key, make_publisher, received
from tests.callers import bearing
from tests.pages import Response, confirm, signed_in
from tests.routes import every_route

pytestmark = pytest.mark.django_db

# Routes that change something without being an act → the reason.
HARMLESS = {
    "account_login": "starts a session by password, rate-limited",
    "account_logout": "ends one's own session",
    "account_signup": "creates an account, rate-limited",
    "account_email_verification_sent": "verifies an address by the code that was sent to it",
    "account_change_password": "needs the old password; account.password notifies the user",
    "account_confirm_login_code": "verifies an address by the code that was sent to it",
    "account_reset_password": "sends a code to the account's own address, rate-limited",
    "account_confirm_password_reset_code": "verifies an address by the code that was sent to it",
    "account_complete_password_reset": "needs a code from the account's address; account.password notifies the user",
    "account_reauthenticate": "is the confirmation itself",
    "mfa_reauthenticate": "is the confirmation itself",
    "mfa_reauthenticate_webauthn": "is the confirmation itself",
    "mfa_authenticate": "is the second step of a sign-in",
    "mfa_login_webauthn": "starts a session by passkey",
    "mfa_edit_webauthn": "names one's own passkey",
    "socialaccount_signup": "creates an account, rate-limited",
    "usersessions_list": "ends one's own sessions",
    "account-applications": "revokes an application's access to one's own account",
    "channel-imports": "starts an import, each file of which needs the right to upload",
    "channel-import": "stops and resumes an import, each file of which needs the right to upload",
    "channel-new": "creates a channel of one's own; no other user gets rights",
    "account-teams": "creates a team of one's own that is in no channel yet",
    "delete": "removes, and can be undone within the grace period",
    "anaconda-package": "removes, and can be undone within the grace period",
    "anaconda-release": "removes, and can be undone within the grace period",
    "anaconda-dist": "removes, and can be undone within the grace period",
    "anaconda-stage": "gives the right to send the bytes of one upload, for minutes",
    "anaconda-commit": "changes nothing",
    "quetz-version": "removes, and can be undone within the grace period",
    "anaconda-authentications": "changes nothing",
    "anaconda-copy": "publishes; restoring an artifact is the act artifact.restore",
    "anaconda-copy-file": "publishes; restoring an artifact is the act artifact.restore",
    "anaconda-label": "puts files into indexes of the same channel, as uploads do, or removes as a deletion",
    "anaconda-label-copy": "puts files into indexes of the same channel, as uploads do",
    "anaconda-label-lock": "changes nothing",
    "mint-token": "gives CI a short-lived token with the publisher's rights",
    "idp:oidc:device_code": "requests a code that has no effect until a user confirms it",
    "idp:oidc:token": "gives an application the access that its user has granted",
    "idp:oidc:revoke": "revokes an application's own tokens",
    "idp:oidc:userinfo": "changes nothing",
    "graphql": "changes nothing",
    "doctor": "changes nothing",
    "healthz": "changes nothing",
    "home": "changes nothing",
    "quetz-channel": "changes nothing: channels are not deleted by keys",
    "quetz-channels": "changes nothing: channels are not created by keys",
    "quetz-channels-paged": "changes nothing",
    "quetz-members": "changes nothing: members are not changed by keys",
    "quetz-user-role": "changes nothing: roles are not changed by keys",
    "channels": "changes nothing",
    "whoami": "changes nothing",
    "status": "retries failed jobs; administrators only",
    "reserved-word": "is not a valid path",
    "channel-promote": "adds, by the rules of uploads; restoring an artifact asks for a recent sign-in",
    "hub-notices": "changes text for pages and clients, which gives no rights",
    "channel-labels": "creates a label without files",
    "channel-label": "puts files into no index, or removes as a deletion",
    "channel-notices": "changes text for clients, which gives no rights",
    "channel-patches": "changes records as an upload by the same role does, and can be undone",
    "channel-address": "accepts no changes",
    "channel-file": "accepts no changes",
    "google_login_by_token": "is not configured",
    "mfa_index": "changes nothing",
    "mfa_list_webauthn": "changes nothing",
    "mfa_view_recovery_codes": "changes nothing",
    "mfa_download_recovery_codes": "changes nothing",
} | {upload.name: "publishes; restoring an artifact is the act artifact.restore" for upload in protocols.uploads()}
# Recorded actions (or their prefixes) that are no acts → the reason.
NO_ACTS = {
    "artifact.publish": "adds; the channel's policies limit uploads",
    "artifact.promote": "adds, by the rules of uploads",
    "artifact.attest": "adds a verified attestation",
    "artifact.overwrite": "if the policy allows it, for one's own files or with the right to delete",
    "artifact.yank": "removes, and can be undone",
    "artifact.delete": "removes, and can be undone within the grace period",
    "artifact.adopt": "by the hub, of files in the store",
    "artifact.import": "by the operator",
    "artifact.set_aside": "by the hub",
    "artifact.damage": "by the hub",
    "artifact.mend": "by the hub",
    "artifact.label": "adds as uploads do, or removes as a yank, and can be undone",
    "channel.create": "gives no other user rights",
    "channel.differ": "by the hub",
    "channel.nearly_full": "by the hub",
    "channel.purge": "by the hub, after the grace period",
    "channel.repair": "by the operator",
    "import.": "gives no rights; each of its files needs the right to upload",
    "invitation.": "declining and withdrawing give no rights",
    "key.expires": "by the hub",
    "key.mint": "gives CI a short-lived token with the publisher's rights",
    "label.": "puts files into indexes of the same channel, as uploads do, or removes as a deletion",
    "notice.": "text for clients, which gives no rights",
    "promotion.": "requests, decisions and rollbacks give no rights",
    "patch.": "changes records as an upload by the same role does, and can be undone",
    "publisher.": "by the hub, and by the first use",
    "retention.run": "by the hub, each night",
    "upstream.hold": "by the hub",
    "webhook.switch_off": "by the hub, after failures",
    "team.create": "an empty team that is in no channel yet",
    "team.withdraw": "withdraws an invitation",
    "team.decline": "gives no rights",
    "oauth.revoke": "removes access",
    "account.": "signing in, and failed attempts",
    "job.": "retries failed jobs; administrators only",
}
# allauth's acts: tests/accounts/test_reauthentication.py tests the confirmation, test_events.py the mails.
ELSEWHERE = {act.action for act in acts.OF_ACCOUNTS} | {"oauth.grant"}
DONE_HERE = [(act, place.route) for act in ACTS.values() for place in act.places if act.action not in ELSEWHERE]
PLACES = [pytest.param(act, route, id=f"{act.action} at {route}") for act, route in DONE_HERE]
PROVED = [pytest.param(act, route, id=f"{act.action} at {route}") for act, route in DONE_HERE if act.is_proved]
# Acts that change a state: their event has the previous value.
BEFORE = {
    "member.change": "from",
    "channel.update": "from",
    "policy.change": "from",
    "relation.change": "from",
    "virtual.change": "from",
    "retention.change": "from",
    "upstream.accept": "from",
    "channel.transfer": "before",
    "channel.delete": "from",
    "channel.restore": "from",
    "artifact.restore": "from",
    "artifact.release": "sha256",
    "member.remove": "role",
    "member.leave": "role",
    "key.revoke": "scopes",
    "publisher.remove": "fields",
    "webhook.change": "from",
    "webhook.remove": "events",
}


@pytest.fixture(scope="module", autouse=True)
def world(rows_of_module: None) -> None:
    make_world()


def do(act_request: ActRequest, route: str, browser: Client) -> Response:
    act_request.prepare(browser)
    return browser.post(reverse(route, args=act_request.arguments), act_request.values())


def done(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).exclude(actor=somebody("ida")))


def test_every_route_that_takes_more_than_looking_is_an_act_or_harmless() -> None:
    """Find the routes in the matrix, which has all: a route that answers 405 or 404 to everybody makes no change."""
    takes_nothing = {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}
    changing = {
        route.partition("@")[0]
        for (method, route), statuses in rows().items()
        if method != "GET" and not set(statuses[:-1]) <= takes_nothing
    }
    of_acts = {place.route for act in ACTS.values() for place in act.places}
    of_acts |= {route for act in ACTS.values() for route in act.api}
    of_rest = {route for route in changing if route.startswith("rest:")}  # the next test has their rule
    assert changing - of_rest - of_acts - HARMLESS.keys() == set()
    assert HARMLESS.keys() - {route for _, route in rows()} == set()
    assert of_acts - set(every_route()) == set()
    assert (of_acts & HARMLESS.keys()) - {"upload"} == set()


def test_session_without_recent_sign_in_is_refused_by_the_rest_api() -> None:
    browser, before = signed_in(somebody("olga"), is_fresh=False), AuditEvent.objects.count()
    changes = [(method, route) for method, route in rows() if route.startswith("rest:") and method != "GET"]
    for method, route in changes:
        answer = browser.generic(method, address(route), **body(method, route))
        assert answer.headers["X-Error-Code"] in ("reauthentication_needed", "wrong_method"), (method, route)
    assert AuditEvent.objects.count() == before


def test_every_recorded_action_is_an_act_or_none_for_a_reason() -> None:
    rest = [action for action in descriptions.ACTIONS if action not in ACTS and action not in NO_ACTS]
    assert [action for action in rest if f"{action.partition('.')[0]}." not in NO_ACTS] == []
    assert NO_ACTS.keys() & ACTS.keys() == set()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_act_by_another_method_records_no_event(method: str) -> None:
    """Check other methods too: some of allauth's views accept PUT as POST."""
    known = {(method, route) for method, route in rows()}
    browser, before = signed_in(somebody("olga"), is_fresh=False), AuditEvent.objects.count()
    for _, route in rows():
        if (method, route) in known or "@" in route or route in HARMLESS:
            continue
        answer = browser.generic(method, address(route), content_type="application/x-www-form-urlencoded")
        location = answer.headers.get("Location", "")
        leads_to = ("/accounts/reauthenticate/", "/identity/o/authorize?")
        assert answer.status_code >= 400 or location.startswith(leads_to), (route, answer)
    assert AuditEvent.objects.count() == before


def test_every_act_is_done_here_at_each_of_its_places() -> None:
    assert set(ACT_REQUESTS) == {(act.action, route) for act, route in DONE_HERE}


@pytest.mark.parametrize(
    ("place", "posted", "matches"),
    [
        (ActRoute("team"), "", True),
        (ActRoute("channel-settings", "confirm_visibility"), "confirm_visibility=x", True),
        (ActRoute("channel-settings", "confirm_visibility"), "description=x", False),
        (ActRoute("channel-danger", "action", ("delete",)), "action=delete", True),
        (ActRoute("channel-danger", "action", ("delete",)), "action=transfer", False),
        (ActRoute("channel-danger", "action", ("delete",)), "delete=action", False),
    ],
)
def test_matches_compares_the_field_and_its_values(place: ActRoute, posted: str, matches: bool) -> None:
    assert place.matches(QueryDict(posted)) is matches


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ("admin:channels_app_user_change", [ActRoute("admin:channels_app_user_change")]),
        ("admin:login", []),
        ("channel-leave", [ActRoute("channel-leave")]),
        ("invitation", []),
    ],
)
def test_places_are_those_that_require_reauthentication(route: str, found: list[ActRoute]) -> None:
    assert acts.places(route) == found


@pytest.mark.parametrize(("act", "route"), PROVED)
def test_act_without_recent_login_requires_reauthentication(act: Act, route: str) -> None:
    act_request = ACT_REQUESTS[act.action, route]
    browser = signed_in(somebody(act_request.by), is_fresh=False)
    confirm(browser, somebody(act_request.by), at=time.time() - django_settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 1)
    answer = do(act_request, route, browser)
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    assert done(act.action) == []


@pytest.mark.parametrize(("act", "route"), PLACES)
def test_an_act_is_not_for_a_lower_role(act: Act, route: str) -> None:
    act_request = ACT_REQUESTS[act.action, route]
    browser = signed_in(somebody(act_request.lower)) if act_request.lower else Client()
    answer = do(act_request, route, browser)
    assert answer.status_code in (HTTPStatus.FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND), answer
    assert done(act.action) == []


@pytest.mark.parametrize(("act", "route"), PLACES)
def test_no_key_does_an_act_by_a_page(act: Act, route: str) -> None:
    act_request = ACT_REQUESTS[act.action, route]
    secret = make_key(somebody(act_request.by), scopes=SCOPES)
    AuditEvent.objects.all().delete()
    act_request.prepare(Client())
    posted = {"revoke": "1"} if act.action == "key.revoke" else act_request.values()
    headers = {"Authorization": f"Bearer {secret}"}
    answer = Client().post(reverse(route, args=act_request.arguments), posted, headers=headers)
    assert answer.status_code in (HTTPStatus.FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
    assert done(act.action) == []


@pytest.mark.parametrize(("act", "route"), PLACES)
def test_act_is_recorded_and_mailed(act: Act, route: str) -> None:
    act_request = ACT_REQUESTS[act.action, route]
    do(act_request, route, signed_in(somebody(act_request.by)))
    (event,) = done(act.action)
    assert event.actor == somebody(act_request.by)
    if act.action in BEFORE:
        assert BEFORE[act.action] in str(event.detail)
    if act.notice is None:
        return
    told = set(somebody_by(notifications.recipients(event.pk)))
    assert told >= readers(act, event)
    notifications.send(event.pk, notifications.recipients(event.pk)[0])


# (action, route) → the method, its required scopes, and the scope without which it is refused.
BY_CLIENTS = {
    ("artifact.restore", "upload"): ("POST", ("upload", "delete"), "delete"),
    ("artifact.restore", "rest:artifact-restore"): ("POST", ("delete",), "delete"),
    ("artifact.restore", "rest:removals"): ("POST", ("delete",), "delete"),
    ("artifact.restore", "rest:promotions"): ("POST", ("read", "upload", "delete"), "delete"),
    ("artifact.restore", "rest:promotion-rollback"): ("POST", ("delete",), "delete"),
    ("publisher.add", "publishers"): ("POST", ("read", "upload", "manage"), "manage"),
    ("publisher.remove", "publisher"): ("DELETE", ("read", "manage"), "manage"),
    ("key.revoke", "key-current"): ("DELETE", ("read",), ""),
}


def test_every_act_of_clients_is_done_here() -> None:
    assert set(BY_CLIENTS) == {(act.action, route) for act in ACTS.values() for route in act.api}


@pytest.mark.parametrize(("action", "route"), BY_CLIENTS)
def test_a_client_does_an_act_with_its_scopes_alone(action: str, route: str, tmp_path: Path) -> None:
    method, scopes, needed = BY_CLIENTS[action, route]
    sent = prepare_client(action, route, tmp_path)
    olga = somebody("olga")
    # A session with a recent sign-in may use the REST API.
    is_rest = route.startswith(("rest:", "publisher"))
    callers = [Client()] if is_rest else [signed_in(olga), Client()]
    if needed:
        callers.append(bearing(make_key(olga, scopes=tuple(scope for scope in SCOPES if scope != needed))))
    for caller in callers:
        assert caller.generic(method, *sent).status_code in (401, 403, 409)
        assert done(action) == []
    assert bearing(make_key(olga, scopes=scopes)).generic(method, *sent).status_code in (200, 201, 204)
    (event,) = done(action)
    assert event.key is not None
    told = somebody_by(notifications.recipients(event.pk))
    assert set(told) >= ({"olga", "ida"} if event.channel else {"olga"})


def prepare_client(action: str, route: str, folder: Path) -> tuple[str, bytes, str]:
    """Return the request of a client: the URL, the body and its type."""
    if route.startswith("rest:"):
        removal.delete(actor=Actor(user=somebody("ida")), artifact=demo().artifacts.get(), reason="")
        bodies = {
            "rest:removals": {"action": "restore", "filter": {"name": "pack"}},
            "rest:promotions": {"from": "other", "filter": {"name": "pack"}},
        }
        if route == "rest:promotions":
            prepare_source()
        if route == "rest:promotion-rollback":
            moved_promotion(Client())
        body = bodies.get(route, {})
        return address(route), orjson.dumps(body), "application/json"
    if action == "artifact.restore":
        path = make_conda(folder)
        artifact = upload.publish(actor=Actor(user=somebody("ida")), channel=demo(), received=received(path)).artifact
        removal.delete(actor=Actor(user=somebody("ida")), artifact=artifact, reason="")
        boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="demo-1.0-0.conda"\r\n\r\n'
        return "/api/v1/upload/demo", boundary + path.read_bytes() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    publishers = "/api/v1/channels/demo/publishers"
    if action == "publisher.add":
        fields = {"repository": "octo-org/sample", "workflow": "release.yml"}
        return publishers, orjson.dumps({"provider": "github", "fields": fields}), "application/json"
    if action == "publisher.remove":
        return f"{publishers}/{make_publisher(demo()).pk}", b"", ""
    return "/api/v1/keys/current", b"", ""


def prepare_source() -> None:
    """Create another channel of Olga with the deleted file of `demo`."""
    source = make_channel("other", owner=somebody("olga"))
    store().put(str(make_artifact(source, "pack", size_bytes=1)), b"x")


def test_the_docs_have_the_table() -> None:
    lines = (views.FOLDER / "security-model.md").read_text().splitlines()
    for act in ACTS.values():
        is_asked = act.places or act.needs == acts.Scope.ADMINISTRATOR
        proof = "yes" if act.is_proved and is_asked else "no"
        told = act.notice.told if act.notice else "no one"
        by_key = act.by_key.partition(":")[0]
        assert f"| `{act.action}` | {act.needs} | {proof} | {by_key} | {told} |" in lines


def somebody_by(ids: list[int]) -> list[str]:
    return [name for name in ("olga", "ida", "mia", "cora", "vic", "sam", "tim") if somebody(name).pk in ids]


def readers(act: Act, event: AuditEvent) -> set[str]:
    """Return the users that must be notified of the event at least."""
    assert act.notice
    if event.channel or act.notice.told == Audience.TEAM:
        # Ida became an owner if Olga transferred the channel.
        return {"olga", "ida"}
    return {str(event.actor)}


def test_administration_without_recent_login_requires_reauthentication() -> None:
    admin = somebody("sam")
    admin.is_staff = admin.is_superuser = True
    admin.save()
    browser = signed_in(admin, is_fresh=False)
    confirm(browser, admin, at=time.time() - django_settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 1)
    routes = [name for name in every_route() if name.startswith("admin:") and name.endswith(("_add", "_change"))]
    assert "admin:channels_app_user_change" in routes
    for name in routes:
        has_id = "<" in every_route()[name]
        path = reverse(name, args=[somebody("olga").pk] if has_id else [])
        assert browser.post(path).headers["Location"].startswith("/accounts/reauthenticate/?next="), name
    changes = reverse("admin:channels_app_reservedname_changelist")
    assert browser.post(changes, {"action": "free"}).headers["Location"].startswith("/accounts/reauthenticate/?next=")
