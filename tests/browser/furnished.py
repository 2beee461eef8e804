"""A hub with something in it, and the list of its pages: for axe, Lighthouse, and the screenshots."""

import json
from pathlib import Path

from rattler_build import upload_package_to_prefix

from tests.archives import SHARED_PACKAGES, make_conda
from tests.live import LiveHub

ARTIFACT = "noarch/strata-1.4.0-0.conda"
ABOUT = {
    "summary": "Layers of rasters, lazily",
    "license": "BSD-3-Clause",
    "home": "https://example.org/strata",
    "dev_url": "https://example.org/strata/source",
    "doc_url": "https://example.org/strata/docs",
    "description": "# Strata\n\nReads *layers* of rasters lazily.\n\n```python\nimport strata\n```\n\n- tiles\n- masks",
}
RUN_EXPORTS = b'{"weak": ["strata >=1.4,<2"]}'
# Ninety days of downloads that rise and fall by the week.
DOWNLOADS = """
from datetime import date, timedelta
artifact = Artifact.objects.get(file_name='strata-1.4.0-0.conda')
for day in range(90):
    count = 80 - day // 2 + (0 if day % 7 > 4 else 30)
    DailyDownloads.objects.create(artifact=artifact, day=date.today() - timedelta(days=day), count=count)
total = sum(row.count for row in DailyDownloads.objects.all())
Artifact.objects.filter(pk=artifact.pk).update(download_count=total)
Package.objects.filter(pk=artifact.package_id).update(download_count=total)
"""
# The first was used; the second waits for its first use, the third for its channel.
PUBLISHERS = """
from django.utils import timezone
from channels_app.access import Actor
from publishing.trusted import publishers
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer
publishers.stable_ids = lambda issuer, fields: {}
olga, channel = User.objects.get(username='olga'), Channel.objects.get(name='geo-tools')
github, gitlab = Issuer.objects.get(provider='github'), Issuer.objects.get(provider='gitlab')
typed = {'repository': 'strata/recipes', 'workflow': 'release.yml', 'environment': 'release'}
fields = PROVIDERS['github'].clean(typed)
used = publishers.add(actor=Actor(user=olga), channel=channel, issuer=github, fields=fields, may_read=True)
used.pins, used.last_used_at = {'repository_id': '740510', 'repository_owner_id': '65'}, timezone.now()
used.save()
project = PROVIDERS['gitlab'].clean({'project': 'strata/tools/palettes', 'workflow': '.gitlab-ci.yml'})
globs = ['strata', 'strata-*']
publishers.add(actor=Actor(user=olga), channel=channel, issuer=gitlab, fields=project, package_globs=globs)
publishers.add_pending(user=olga, channel_name='strata-next', issuer=github, fields=fields)
"""
# name: (who looks, path)
PAGES: dict[str, tuple[str | None, str]] = {
    "home": (None, "/"),
    "home-signed-in": ("olga", "/"),
    "login": (None, "/accounts/login"),
    "channels": ("olga", "/channels"),
    "channels-all": (None, "/channels"),
    "new-channel": ("olga", "/channels/new"),
    "channel": ("olga", "/channels/geo-tools"),
    "channel-filtered": (None, "/channels/geo-tools?q=dummy&sort=downloads"),
    "channel-empty": ("olga", "/channels/field-lab"),
    "package": (None, "/channels/geo-tools/packages/strata"),
    "artifact": ("olga", f"/channels/geo-tools/artifacts/{ARTIFACT}"),
    "remove": ("olga", f"/channels/geo-tools/artifacts/{ARTIFACT}/remove"),
    "general": ("olga", "/channels/geo-tools/settings"),
    "members": ("olga", "/channels/geo-tools/settings/members"),
    "publishers": ("olga", "/channels/geo-tools/settings/publishers?use=1"),
    "publishers-remove": ("olga", "/channels/geo-tools/settings/publishers?provider=circleci&remove=2"),
    "publishers-empty": ("olga", "/channels/field-lab/settings/publishers?provider=generic"),
    "pending-publishers": ("olga", "/channels/new/publisher?use=3"),
    "upload": ("olga", "/channels/geo-tools/settings/upload"),
    "policies": ("olga", "/channels/geo-tools/settings/policies"),
    "activity": ("olga", "/channels/geo-tools/settings/activity"),
    "danger": ("olga", "/channels/geo-tools/settings/danger"),
    "search": (None, "/search?q=dummy"),
    "search-nothing": (None, "/search?q=unobtainium"),
    "docs": (None, "/docs"),
    "docs-publishing": (None, "/docs/publishing"),
    "not-found": (None, "/channels/nowhere"),
    "not-allowed": ("max", "/channels/geo-tools/settings"),
}


def furnish(hub: LiveHub, folder: Path) -> None:
    """Two channels of Olga's, one with real packages, members and downloads, one empty."""
    hub.manage("createchannel", "geo-tools", "--owner", "olga", "--public", "--description", "Rasters and their layers")
    hub.manage("createchannel", "field-lab", "--owner", "olga")
    member = "channel=Channel.objects.get(name='geo-tools'), user=User.objects.get(username='max')"
    hub.shell(f"Member.objects.create({member}, role='viewer')")
    key = hub.manage("createapikey", "olga", "--name", "laptop", "--scope", "upload")
    made = [
        make_conda(
            folder,
            name="strata",
            version=version,
            depends=["python >=3.11", "dummy-a >=0.1", "package >=0.1.0"],
            files={"bin/strata": b"#!/bin/sh\n", "share/strata/palette.json": b"{}"},
            info={"about.json": json.dumps(ABOUT).encode(), "run_exports.json": RUN_EXPORTS},
        )
        for version in ("1.2.0", "1.3.1", "1.4.0")
    ]
    real = sorted((SHARED_PACKAGES / "linux-64").glob("*.conda"))[:20] + sorted(
        (SHARED_PACKAGES / "osx-arm64").glob("du*")
    )
    upload_package_to_prefix([str(path) for path in [*made, *real]], hub.url, "geo-tools", api_key=key)
    hub.shell(DOWNLOADS)
    hub.shell(PUBLISHERS)
