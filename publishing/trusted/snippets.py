"""The configuration that the CI of a trusted publisher needs, ready to paste: the context of templates/trusted/ci/."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from channels_app.docs.views import id_token_variable
from publishing.models import TrustedPublisher

# The providers with a job template of their own. All others get a shell script.
OWN_TEMPLATES = ("github", "gitlab")
# Commands that request an identity token; {} is the audience. Source: the clients' library, astral-sh/ambient-id,
# src/*.rs.
TOKEN_COMMANDS = {
    "google": 'curl -sSf -H "Metadata-Flavor: Google" "http://metadata.google.internal/computeMetadata/v1/instance/'
    'service-accounts/default/identity?audience={}&format=full"',
    "buildkite": "buildkite-agent oidc request-token --audience {}",
    "circleci": """circleci run oidc get --root-issuer --claims '{{"aud": "{}"}}'""",
    "generic": "ISSUER'S COMMAND for an identity token with the audience {}",
}


def context(publisher: TrustedPublisher) -> dict[str, Any]:
    provider, channel = publisher.issuer.provider, str(publisher.channel or publisher.channel_name)
    host = settings.PUBLIC_HOST
    return {
        "template": f"trusted/ci/{provider if provider in OWN_TEMPLATES else 'shell'}.html",
        "publisher": publisher,
        "channel": channel,
        "hub_url": settings.HUB_PUBLIC_URL,
        "host": host,
        "id_token": id_token_variable(host),
        "token_command": TOKEN_COMMANDS.get(provider, "").format(host),
        # Clients request tokens of known providers themselves, but not those of other issuers.
        "publishes_with_key": provider == "generic",
        "publish_commands": publish_commands(channel),
        "minutes": settings.HUB_SHORT_LIVED_TOKEN_MINUTES,
    }


def publish_commands(channel: str) -> list[str]:
    """Return the commands that publish. `prefix://` always means https, so a hub on http needs two commands."""
    origin = urlsplit(settings.HUB_PUBLIC_URL)
    if origin.scheme == "https":
        return [f"pixi publish --to prefix://{origin.netloc}/{channel}"]
    return [
        "pixi publish --target-dir dist",
        f"pixi upload prefix --url {settings.HUB_PUBLIC_URL} --channel {channel} --skip-existing dist/*.conda",
    ]
