"""Scopes: what an application can ask for, in plain words, and what a client means that does not know this hub."""

from allauth.idp.oidc.models import Client

WORDS = {
    "channel:read": "Install from every channel that you can see, private ones included",
    "channel:upload": "Upload packages to every channel that you may upload to",
    "openid": "Know which account this is",
    "profile": "See your user name",
    "email": "See your e-mail address",
    "offline_access": "Stay signed in until you revoke it",
}
# What pixi and rattler ask of a host that they know nothing of (conda/rattler, crates/rattler/src/cli/auth/oauth.rs).
ASKED_OF_ANY_HOST = {"openid", "profile", "offline_access"}
IMPLIED = ("channel:read", "channel:upload")


def meant(asked: str, client_id: str) -> str:
    """The scopes, by spaces, that a request for the scopes `asked` means, each once."""
    scopes = list(dict.fromkeys(asked.split()))
    if set(scopes) == ASKED_OF_ANY_HOST:
        client = Client.objects.filter(pk=client_id).first()
        scopes += [scope for scope in IMPLIED if client and scope in client.get_scopes()]
    return " ".join(scopes)


def in_words(scopes: list[str]) -> list[str]:
    """What they allow, in the order of WORDS; those of other software by their names."""
    known = [text for scope, text in WORDS.items() if scope in scopes]
    return known + [scope for scope in scopes if scope not in WORDS]
