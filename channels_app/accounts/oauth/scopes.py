"""Scopes: their descriptions, and the scopes implied for clients that request only standard ones."""

from allauth.idp.oidc.models import Client

WORDS = {
    "channel:read": "Install from every channel that you can see, private ones included",
    "channel:upload": "Upload packages to every channel that you may upload to",
    "openid": "Know which account this is",
    "profile": "See your user name",
    "email": "See your e-mail address",
    "offline_access": "Stay signed in until you revoke it",
}
# The scopes that pixi and rattler request from an unknown host (conda/rattler, crates/rattler/src/cli/auth/oauth.rs).
REQUESTED_OF_ANY_HOST = {"openid", "profile", "offline_access"}
IMPLIED = ("channel:read", "channel:upload")


def granted_scopes(requested_scopes: str, client_id: str) -> str:
    """Return the scopes to grant for the requested ones, space-separated and unique.

    A request for exactly REQUESTED_OF_ANY_HOST also gets the scopes of IMPLIED that the client may have.
    """
    scopes = list(dict.fromkeys(requested_scopes.split()))
    if set(scopes) == REQUESTED_OF_ANY_HOST:
        client = Client.objects.filter(pk=client_id).first()
        scopes += [scope for scope in IMPLIED if client and scope in client.get_scopes()]
    return " ".join(scopes)


def in_words(scopes: list[str]) -> list[str]:
    """Return the descriptions of the scopes, in the order of WORDS. Scopes of other software keep their names."""
    known = [text for scope, text in WORDS.items() if scope in scopes]
    return known + [scope for scope in scopes if scope not in WORDS]
