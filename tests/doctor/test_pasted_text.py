"""Tests of the connection doctor's parser of pasted keys, URLs and commands."""

import pytest

from channels_app.doctor import addresses
from tests.builders import NO_KEY

HUB = "https://hub.example.org"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (NO_KEY, NO_KEY),
        (f"  '{NO_KEY}'\n", NO_KEY),
        (f"pixi auth login {HUB} --token {NO_KEY}", NO_KEY),
        (f"mamba auth login {HUB} --bearer={NO_KEY}", NO_KEY),
        (f'curl -H "Authorization: Bearer {NO_KEY}" {HUB}/demo', NO_KEY),
        (f"conda install -c {HUB}/t/{NO_KEY}/demo numpy", NO_KEY),
        (f"curl {HUB}/t/some-token/demo", "some-token"),
        ("curl https://me:secret-word@hub.example.org/demo", "secret-word"),
        ("pixi auth login hub --token pfx_abc", "pfx_abc"),
        ('curl -H "Authorization: bearer opaque"', "opaque"),
        ("export PREFIX_API_KEY=pfx_abc", "pfx_abc"),
        ("an-opaque-token-of-an-application", "an-opaque-token-of-an-application"),
        ("chub_with-an-underscore", "chub_with-an-underscore"),
        ("demo", None),
        (f"{HUB}/demo", None),
        (f"{HUB}/t", None),
        (f"pixi auth login {HUB} --token", ""),
        (f'pixi auth login {HUB} --token ""', ""),
        (f'curl -H "Authorization: Bearer " {HUB}/demo', ""),
        (f"conda install -c {HUB}/t//demo numpy", ""),
        (f"conda install -c {HUB}/t/<KEY>/demo numpy", "<KEY>"),
        (f"conda install -c {HUB}/t/${{{{ secrets.HUB_KEY }}}}/demo numpy", "${{ secrets.HUB_KEY }}"),
        ("curl https://API_KEY@hub.example.org/demo", "API_KEY"),
        ("curl https://API_KEY:x-oauth-basic@hub.example.org/demo", "API_KEY"),
        (f"curl https://{NO_KEY}@hub.example.org/demo", NO_KEY),
        (f"curl -u YOUR_API_KEY: {HUB}/demo", "YOUR_API_KEY"),
        (f"curl -u me: {HUB}/demo", ""),
        ("YOUR_API_KEY", "YOUR_API_KEY"),
        ("it does not work, please help me", None),
    ],
)
def test_read_text_finds_the_key_and_its_place(text: str, secret: str | None) -> None:
    assert addresses.read(text).secret == secret


@pytest.mark.parametrize(
    ("text", "channel", "needed"),
    [
        (f"{HUB}/demo/noarch/repodata.json", "demo", "read"),
        (f"{HUB}/t/{NO_KEY}/demo", "demo", "read"),
        (f"{HUB}/channels/demo/settings", "demo", "read"),
        (f"POST {HUB}/api/v1/upload/demo", "demo", "upload"),
        (f"curl -X DELETE {HUB}/api/v1/delete/demo/noarch/a.conda", "demo", "delete"),
        (f"rattler-build upload prefix --url {HUB} --channel demo a.conda", "demo", "upload"),
        ("pixi publish --to prefix://hub.example.org/demo", "demo", "upload"),
        (f"conda install -c {HUB}/demo numpy", "demo", "read"),
        (f"{HUB}/docs/api", "", "read"),
        (f"{HUB}", "", "read"),
        (f"{HUB}/%00", "", "read"),
        ("https://[broken/demo https://host:port/demo", "", "read"),
    ],
)
def test_read_command_finds_channel_and_purpose(text: str, channel: str, needed: str) -> None:
    found = addresses.read(text)
    assert (found.channel, found.needed) == (channel, needed)
