"""A hub with data, and the list of its pages: for axe, Lighthouse and the screenshots."""

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
COPYING = b"Redistribution and use in source and binary forms, with or without modification, are permitted.\n"
# An invalid name on Windows, so the artifact's page shows a warning.
ODD_FILE = "share/strata/aux.txt"
RUN_EXPORTS = b'{"weak": ["strata >=1.4,<2"]}'
# Ninety days of downloads in weekly waves.
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
from channels_app.access.permissions import Actor
from publishing.trusted import publishers
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer
publishers.stable_ids = lambda issuer, fields: {}
olga, channel = User.objects.get(username='olga'), Channel.objects.get(name='geo-tools')
github, gitlab = (Issuer.objects.get(url=PROVIDERS[name].issuer) for name in ('github', 'gitlab'))
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
# Olga has authorized pixi, and a device of hers waits for its code.
APPLICATIONS = """
import time
from datetime import timedelta
from allauth.idp.oidc.internal.oauthlib import device_codes
from allauth.idp.oidc.models import Client, Token
from django.core.cache import cache
from django.utils import timezone
rattler = Client.objects.get(pk='rattler')
tokens = {'client': rattler, 'user': User.objects.get(username='olga'), 'scopes': rattler.scopes}
for kind in ('rt', 'at'):
    Token.objects.create(type=kind, hash=kind, expires_at=timezone.now() + timedelta(days=90), **tokens)
device = {'user_code': 'BCDF-GHJK', 'interval': 5}
state = {'granted': None, 'client_id': 'rattler', 'scope': rattler.get_scopes(), 'device': device, 'last_poll_at': 0}
cache.set(device_codes.cache_user_code_key('BCDF-GHJK'), 'waiting', 86400)
cache.set(device_codes.cache_device_code_key('waiting'), state | {'expires_at': time.time() + 86400}, 86400)
"""
# A key with a long lifetime, one that expires soon, one that has expired, and a token of CI.
KEYS = """
from datetime import timedelta
from django.utils import timezone
from channels_app.authentication import api_keys as keys
from channels_app.access.permissions import Actor
olga, channel = User.objects.get(username='olga'), Channel.objects.get(name='geo-tools')
soon, globs = timezone.now() + timedelta(days=5), ['strata', 'strata-*']
own = {'owner': olga, 'expires_at': soon, 'scopes': ['read', 'upload', 'delete']}
keys.create_user_key(**own, name='workstation in the basement', channels=[channel], package_globs=globs)
ended, _ = keys.create_user_key(**own, name='old laptop', channels=None)
ApiKey.objects.filter(pk=ended.pk).update(expires_at=timezone.now() - timedelta(days=2))
robot = {'scopes': ['upload'], 'package_globs': globs, 'expires_at': soon + timedelta(days=300)}
keys.create_channel_key(actor=Actor(user=olga), channel=channel, name='nightly builds', **robot)
"""
# A team of Olga's that contributes, and an invitation by mail.
TEAMS = """
from channels_app.people import invitations, members, teams
from channels_app.access.permissions import Actor
olga, channel = User.objects.get(username='olga'), Channel.objects.get(name='geo-tools')
mappers = teams.create(user=olga, name='mappers', description='Who draw the maps')
max_ = User.objects.get(username='max')
invitations.accept(user=max_, invitation=invitations.invite_into_team(user=olga, team=mappers, name_or_address='max'))
invitations.invite_into_team(user=olga, team=mappers, name_or_address='ada')
members.add(actor=Actor(user=olga), channel=channel, team='mappers', role='contributor')
invitations.invite(actor=Actor(user=olga), channel=channel, email='mara@example.org', role='maintainer')
"""
# A night with two problems, as an administrator sees it.
STATUS = """
from datetime import timedelta
from django.utils import timezone
from publishing.models import FailedJob, SubdirIndex, Verification
User.objects.filter(username='ada').update(is_superuser=True, is_staff=True)
geo, lab = Channel.objects.get(name='geo-tools'), Channel.objects.get(name='field-lab')
build, hours = 'publishing.tasks.build_index', timezone.now() - timedelta(hours=3)
error = 'StoreError: The store could not put geo-tools/linux-64/repodata.json.zst: [Errno 28] No space left on device'
FailedJob.objects.create(task=build, args=[geo.indexes.get(subdir='linux-64').pk], error=error, times=41)
mail = 'SMTPServerDisconnected: Connection unexpectedly closed'
FailedJob.objects.create(task='channels_app.tasks.send_mail', args=[1204, 7], error=mail, times=7, failed_at=hours)
sentence = 'linux-64/gdal-core-3.12.0-py312h1a_2.conda is in the database and in the index, but not in the store.'
differences = [['missing', 'linux-64/gdal-core-3.12.0-py312h1a_2.conda', sentence]]
done = {'differences': differences, 'difference_count': 1, 'file_count': 12840, 'ended_at': hours}
Verification.objects.update_or_create(channel=geo, defaults=done)
Verification.objects.update_or_create(channel=lab, defaults={'ended_at': hours})
"""
NOTICES = """
from datetime import timedelta
from django.utils import timezone
from publishing.models import ChannelNotice, ChannelRelations
channel, expires_at = Channel.objects.get(name='geo-tools'), timezone.now() + timedelta(days=20)
by = {'channel': channel, 'expires_at': expires_at, 'created_by': User.objects.get(username='olga')}
ChannelNotice.objects.create(**by, level='warning', message='strata 2 needs gdal 3.9. Stay at strata 1 until Sunday.')
ChannelNotice.objects.create(**by, level='critical', message='The key of relief was replaced.\\nUpdate to 4.7.1.')
lab = Channel.objects.get(name='field-lab')
ChannelRelations.objects.create(channel=lab, base=channel, listed={'base': '../geo-tools'})
"""
VIRTUAL = """
from channels_app.access.permissions import Actor
from channels_app.channels import channels
from publishing.virtual import virtual
from publishing.virtual.virtual import MemberText, RuleText, Wanted
olga = User.objects.get(username='olga')
both = channels.create(name='survey', owner=olga, is_private=False, kind='virtual', description='Own tools first.')
channels.create(name='survey-empty', owner=olga, is_private=False, kind='virtual')
rules = [RuleText('strata-*', 'only_from', 'geo-tools'), RuleText('survey-*', 'only_from')]
wanted = Wanted([MemberText('field-lab'), MemberText('geo-tools')], rules)
virtual.change(actor=Actor(user=olga), channel=both, wanted=wanted)
"""
LABELS = """
from datetime import timedelta
from django.utils import timezone
from channels_app.access.permissions import Actor
from publishing.labels import artifact_labels, edits, labels
by = {'actor': Actor(user=User.objects.get(username='olga')), 'channel': Channel.objects.get(name='geo-tools')}
labels.create(**by, name='pr-123', expires_at=timezone.now() + timedelta(days=14))
labels.create(**by, name='strata-2-release-candidates-for-the-survey-of-the-northern-coast')
strata = Artifact.objects.filter(package__name='strata')
for version, names in {'1.2.0': ['main', 'old'], '1.3.1': ['main', 'pr-123', 'rc']}.items():
    artifact_labels.edit_selection(**by, selection=strata.filter(version=version), edit=edits.exactly(names))
"""
PATCHES = """
from django.utils import timezone
from publishing.models import Patch
channel, olga = Channel.objects.get(name='geo-tools'), User.objects.get(username='olga')
by = {'channel': channel, 'created_by': olga}
depends = {'replace': {'gdal': 'gdal >=3.8,<3.9'}, 'add': ['proj >=9.3']}
strata = {'names': ['strata', 'strata-*'], 'version': '<2'}
Patch.objects.create(**by, **strata, position=1, title='strata does not work with gdal 3.9',
    built_before=timezone.now(), changes={'depends': depends, 'license': 'BSD-3-Clause', 'track_features': None})
Patch.objects.create(**by, position=2, title='patch_instructions.json for linux-64', source='patch_instructions.json',
    import_subdir='linux-64', file_count=12840, ignored={'timestamp': 12})
Patch.objects.create(**by, position=3, title='Nobody can start relief 4.7.0', names=['relief'], version='4.7.0',
    changes={'removed': True}, ended_at=timezone.now(), ended_by=olga)
"""
RETENTION = """
from channels_app.models import RetentionRule
by = {'channel': Channel.objects.get(name='geo-tools'), 'created_by': User.objects.get(username='olga')}
RetentionRule.objects.create(**by, title='Nightly builds', names=['strata', 'strata-*', 'relief'], keep_versions=1,
    delete_after_days=30, protected_versions=['>=2,<3', '1.*'], protected_names=['gdal-core'])
RetentionRule.objects.create(**by, title='Unused for a year', older_than_days=365, unused_days=365)
RetentionRule.objects.create(**by, title='Old builds of the newest versions', keep_builds=1, delete_after_days=7,
    labels=['dev', 'pr-*'], without_labels=['main'], protected_labels=['lts'])
"""
# A webhook that works, one that fails, and one that is off.
WEBHOOKS = """
from datetime import timedelta
from django.utils import timezone
from channels_app.access.permissions import Actor
from channels_app.models import Webhook, WebhookDelivery
from channels_app.webhooks import webhooks
by = {'actor': Actor(user=User.objects.get(username='olga')), 'channel': Channel.objects.get(name='geo-tools')}
kinds, now = ['artifact.published', 'artifact.yanked', 'index.built'], timezone.now()
url = 'https://ci.example.org/hooks/channelhub/projects/geo-tools-nightly'
fails, _ = webhooks.add(**by, url=url, events=kinds)
webhooks.add(**by, url='https://chat.example.org/hook', events=['artifact.published'])
off, _ = webhooks.add(**by, url='https://mirror.example.org/', events=['member.changed'])
webhooks.change(actor=by['actor'], webhook=off, is_active=False)
state = {'failures': 3, 'failing_since': now - timedelta(minutes=7), 'tried_at': now}
Webhook.objects.filter(pk=fails.pk).update(due_at=now + timedelta(days=1), **state)
body = '{"type":"artifact.published","data":{"channel":"geo-tools","file_name":"strata-1.4.0-0.conda"}}'
sent = {'webhook': fails, 'body': body, 'tried_at': now - timedelta(minutes=9), 'duration_ms': 84, 'attempts': 1}
done = {'state': 'delivered', 'answer_status': 200, 'answer_body': 'queued as build 4711'}
WebhookDelivery.objects.create(kind='artifact.published', message_id='msg_3f2c19e0a7b84d51', **sent, **done)
error = 'https://ci.example.org/hooks/channelhub takes too long to answer.'
WebhookDelivery.objects.create(kind='artifact.yanked', message_id='msg_91', **sent, state='failed', error=error)
again = sent | {'attempts': 3, 'answer_status': 503, 'answer_body': '<h1>Service unavailable</h1>'}
WebhookDelivery.objects.create(kind='index.built', message_id='msg_b5', **again)
"""
PROMOTIONS = """
from django.utils import timezone
from publishing.models import Promotion
channels, ended = {name: Channel.objects.get(name=name) for name in ('field-lab', 'geo-tools')}, timezone.now()
by = {'source': channels['field-lab'], 'target': channels['geo-tools'], 'created_by': User.objects.get(username='olga')}
done = Promotion.objects.create(**by, state='done', reason='Tested by the night build.', is_move=True, ended_at=ended)
for artifact in Artifact.objects.filter(package__name='strata', version='1.4.0'):
    facts = {name: getattr(artifact, name) for name in ('subdir', 'file_name', 'sha256', 'size_bytes')}
    done.files.create(artifact=artifact, change='new', **facts)
failure = "Files of 'field-lab' changed meanwhile. Promote them again."
Promotion.objects.create(**by, state='failed', failure=failure, ended_at=ended)
Promotion.objects.create(**by, state='rolled_back', ended_at=ended)
waiting = {'target': channels['field-lab'], 'source': channels['geo-tools'], 'state': 'waiting'}
Promotion.objects.create(**waiting, created_by=User.objects.get(username='max'), reason='For the survey.')
imports = channels['geo-tools'].imports
counts = {'found_files': 812, 'found_bytes': 9 << 30, 'imported_files': 310, 'imported_bytes': 3 << 30}
running = imports.create(
    source='https://conda.example.org/bioconda', include=['samtools >=1.20', 'bcf*'], key_kind='path',
    subdirs=['noarch'], newest_versions=3, label='dev', worked_s=61.5,
    created_by=User.objects.get(username='olga'), **counts
)
running.refused.create(subdir='noarch', file_name='bad-1.0-0.conda', reason='The source answers 404 for it.')
broken = 'The source answers 401 for noarch/repodata.json.zst.'
imports.create(source='https://quetz.example.org/get/old', state='failed', failure=broken, ended_at=ended)
rules = channels['geo-tools'].promotion_rules
rules.create(source='field-lab', needs='upload', needs_approval=True, keeps_attestations=True)
rules.create(source='*', needs='own')
"""
# A watched prefix with two files that the watch refuses.
WATCH = """
from hub.storage import store
from publishing.models import Watch
from publishing.watches import passes
by = {'channel': Channel.objects.get(name='geo-tools'), 'created_by': User.objects.get(username='olga')}
Watch.objects.create(**by, adopted_files=1204)
store().put('geo-tools/noarch/strata-with-a-longer-name-2.0-py312h0a1b2c3_0.conda', b'half a package')
store().put('geo-tools/linux-64/Strata-2.0-0.conda', b'half a package')
passes.work()
"""
# A channel that stands on a failing upstream, with a record in cooldown and one that is held back.
UPSTREAM = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from channels_app.models import ChannelKind
from publishing.index import upstream_records
from publishing.models import SubdirIndex, Upstream, UpstreamName
now = timezone.now()
channel = Channel.objects.create(name='upstream-forge', kind=ChannelKind.UPSTREAM)
Member.objects.create(channel=channel, user=User.objects.get(username='ada'), role='owner')
failure = {'failing_since': now - timedelta(hours=2), 'error_code': 'upstream_failing'}
error = 'The upstream answers 503 for https://conda.example.org/forge/noarch/repodata.json. It is tried again.'
# One transaction, because the worker makes the missing index of an upstream that it sees.
with transaction.atomic():
    Upstream.objects.create(
        channel=channel, url='https://conda.example.org/forge', subdirs=['noarch', 'linux-64'], cooldown_days=7,
        poll_minutes=1440, polled_at=now, succeeded_at=now - timedelta(hours=2), error=error,
        exceptions=[['openssl', 'CVE-2026-1']], filters={'excluded_licenses': ['*GPL*'], 'newest_versions': 10},
        **failure,
    )
    index = SubdirIndex.objects.create(channel=channel, subdir='noarch')
until = (now.timestamp() + 500_000) * 1000
hidden = {'strata-9.0-0.conda': ['waiting', until], 'strata-8.0-0.conda': ['changed', 'Its SHA-256 changed.']}
seen = int(now.timestamp() * 1000)
stated = {
    f'strata-{n}.0-0.conda': {
        'name': 'strata', 'version': f'{n}.0', 'build': '0', 'build_number': 0, 'size': 1_500_000, 'sha256': f'{n}' * 64
    } for n in range(1, 10)
}
first_seen = {file_name: ['ab' * 32, seen] for file_name in stated}
records = upstream_records.pack(upstream_records.NameRecords(stated, {}))
counts = {'record_count': 9, 'waiting_count': 1, 'held_count': 1}
UpstreamName.objects.create(
    index=index, name='strata', records=records, hidden=hidden, first_seen=first_seen, **counts
)
described = {'latest_version': '7.0', 'subdirs': ['noarch'], 'updated_at': now}
Package.objects.create(channel=channel, name='strata', **described)
"""
CONSENT = (
    "/identity/o/authorize?response_type=code&client_id={}&redirect_uri=http://127.0.0.1:51423&state=1"
    "&scope=openid+profile+offline_access&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw_cM"
    "&code_challenge_method=S256"
)
# name: (user, path)
PAGES: dict[str, tuple[str | None, str]] = {
    "home": (None, "/"),
    "home-own": ("olga", "/"),
    "home-new": ("ada", "/"),
    "home-signed-in": ("olga", "/"),
    "login": (None, "/accounts/login/"),
    "sign-up": (None, "/accounts/signup/"),
    "sign-in-cancelled": (None, "/accounts/3rdparty/login/cancelled/"),
    "password-reset": (None, "/accounts/password/reset/"),
    "account": ("olga", "/account"),
    "account-activity": ("olga", "/account/activity"),
    "account-email": ("olga", "/accounts/email/"),
    "account-password": ("olga", "/accounts/password/change/"),
    "account-second-factor": ("olga", "/accounts/2fa/"),
    "account-app": ("olga", "/accounts/2fa/totp/activate/"),
    "account-passkeys": ("olga", "/accounts/2fa/webauthn/"),
    "account-passkey": ("olga", "/accounts/2fa/webauthn/add/"),
    "account-sessions": ("olga", "/accounts/sessions/"),
    "account-connections": ("olga", "/accounts/3rdparty/"),
    "account-reauthenticate": ("olga", "/accounts/reauthenticate/"),
    "api-explorer": ("olga", "/api/docs"),
    "channels": ("olga", "/channels"),
    "channels-all": (None, "/channels"),
    "new-channel": ("olga", "/channels/new"),
    "channel": ("olga", "/channels/geo-tools"),
    "channel-filtered": (None, "/channels/geo-tools?q=dummy&sort=downloads"),
    "channel-empty": ("olga", "/channels/field-lab"),
    "package": (None, "/channels/geo-tools/packages/strata"),
    "version": (None, "/channels/geo-tools/packages/strata/1.3.1"),
    "artifact": ("olga", f"/channels/geo-tools/artifacts/{ARTIFACT}"),
    "remove": ("olga", f"/channels/geo-tools/artifacts/{ARTIFACT}/remove"),
    "select": ("olga", "/channels/geo-tools/select?name=strata&select=all"),
    "select-nothing": ("olga", "/channels/field-lab/select?version=1.0"),
    "general": ("olga", "/channels/geo-tools/settings"),
    "members": ("olga", "/channels/geo-tools/settings/members"),
    "members-find": ("olga", "/channels/geo-tools/settings/members?find=ma&remove=max"),
    "members-invite": ("olga", "/channels/geo-tools/settings/members?find=jo@example.org"),
    "leave": ("max", "/channels/geo-tools/leave"),
    "teams": ("olga", "/teams"),
    "team": ("olga", "/teams/mappers?remove=max"),
    "team-read": ("max", "/teams/mappers"),
    "asked": ("ada", "/account/invitations"),
    "invitation-gone": (None, "/invitations"),
    "publishers": ("olga", "/channels/geo-tools/settings/publishers?use=1"),
    "publishers-remove": ("olga", "/channels/geo-tools/settings/publishers?provider=circleci&remove=2"),
    "publishers-empty": ("olga", "/channels/field-lab/settings/publishers?provider=generic"),
    "pending-publishers": ("olga", "/channels/new/publisher?use=3"),
    "upload": ("olga", "/channels/geo-tools/settings/upload"),
    "webhooks": ("olga", "/channels/geo-tools/settings/webhooks"),
    "webhooks-empty": ("olga", "/channels/field-lab/settings/webhooks"),
    "webhook": ("olga", "/channels/geo-tools/settings/webhooks/1?remove"),
    "select-label": ("olga", "/channels/geo-tools/select?label=pr-123&select=all"),
    "labels": ("olga", "/channels/geo-tools/labels"),
    "labels-read": (None, "/channels/geo-tools/labels"),
    "label": ("olga", "/channels/geo-tools/labels/pr-123"),
    "label-read": (None, "/channels/geo-tools/labels/pr-123"),
    "label-empty": (
        "olga",
        "/channels/geo-tools/labels/strata-2-release-candidates-for-the-survey-of-the-northern-coast",
    ),
    "notices": ("olga", "/channels/geo-tools/settings/notices?edit=1"),
    "relations": ("olga", "/channels/field-lab/settings/relations"),
    "virtual": ("olga", "/channels/survey"),
    "virtual-empty": ("olga", "/channels/survey-empty"),
    "virtual-members": ("olga", "/channels/survey/settings/virtual"),
    "virtual-members-empty": ("olga", "/channels/survey-empty/settings/virtual"),
    "patches": ("olga", "/channels/geo-tools/settings/patches?edit=1"),
    "patches-empty": ("olga", "/channels/field-lab/settings/patches"),
    "retention": ("olga", "/channels/geo-tools/settings/retention?plan"),
    "retention-edit": ("olga", "/channels/geo-tools/settings/retention?edit=1"),
    "retention-empty": ("olga", "/channels/field-lab/settings/retention"),
    "notices-empty": ("olga", "/channels/field-lab/settings/notices"),
    "promote": ("olga", "/channels/geo-tools/promote?name=strata"),
    "promote-find": ("olga", "/channels/geo-tools/promote?name=unobtainium"),
    "promote-nowhere": ("max", "/channels/geo-tools/promote?name=strata"),
    "imports": ("olga", "/channels/geo-tools/settings/imports"),
    "imports-empty": ("olga", "/channels/field-lab/settings/imports"),
    "watch": ("olga", "/channels/geo-tools/settings/watch"),
    "watch-off": ("olga", "/channels/field-lab/settings/watch"),
    "import": ("olga", "/channels/geo-tools/settings/imports/1"),
    "import-failed": ("olga", "/channels/geo-tools/settings/imports/2"),
    "promotions": ("olga", "/channels/geo-tools/settings/promotions"),
    "promotion-rules-empty": ("olga", "/channels/field-lab/settings/promotion-rules"),
    "promotion": ("olga", "/channels/geo-tools/settings/promotions/1"),
    "promotion-waiting": ("olga", "/channels/field-lab/settings/promotions/4"),
    "promotion-rules": ("olga", "/channels/geo-tools/settings/promotion-rules?edit=field-lab"),
    "promotion-failed": ("olga", "/channels/geo-tools/settings/promotions/2"),
    "policies": ("olga", "/channels/geo-tools/settings/policies"),
    "activity": ("olga", "/channels/geo-tools/settings/activity"),
    "danger": ("olga", "/channels/geo-tools/settings/danger"),
    "consent": ("olga", CONSENT.format("rattler")),
    "consent-refused": ("olga", CONSENT.format("unknown")),
    "device": ("olga", "/identity/o/device?code=wrong"),
    "device-asked": ("olga", "/identity/o/device?code=BCDF-GHJK"),
    "applications": ("olga", "/account/applications?revoke=rattler"),
    "applications-empty": ("max", "/account/applications"),
    "keys": ("olga", "/account/keys?revoke=1"),
    "keys-empty": ("max", "/account/keys"),
    "robots": ("olga", "/channels/geo-tools/settings/robots"),
    "robots-empty": ("olga", "/channels/field-lab/settings/robots"),
    "doctor": (None, "/doctor"),
    "search": (None, "/search?q=dummy"),
    "search-narrowed": (None, "/search?q=dummy&channel=geo-tools&platform=linux-64&order=downloads"),
    "search-nothing": (None, "/search?q=unobtainium"),
    "search-nothing-here": (None, "/search?q=dummy&channel=geo-tools&platform=zos-z"),
    "status": ("ada", "/status"),
    "new-upstream": ("ada", "/channels/new/upstream"),
    "upstream": ("ada", "/channels/upstream-forge"),
    "upstream-package": ("ada", "/channels/upstream-forge/packages/strata"),
    "upstream-settings": ("ada", "/channels/upstream-forge/settings/upstream"),
    "upstream-filters": ("ada", "/channels/upstream-forge/settings/upstream/filters"),
    "hub-notices": ("ada", "/status/notices"),
    "hub-activity": ("ada", "/status/activity"),
    "hub-activity-empty": ("ada", "/status/activity?kind=teams&until=2000-01-01"),
    "docs": (None, "/docs"),
    "docs-publishing": (None, "/docs/publishing"),
    "not-found": (None, "/channels/nowhere"),
    "not-allowed": ("max", "/channels/geo-tools/settings"),
}


def fill_hub(hub: LiveHub, folder: Path) -> None:
    """Create two channels of Olga's: one with real packages, members and downloads, one empty."""
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
            files={"bin/strata": b"#!/bin/sh\n", "share/strata/palette.json": b"{}", ODD_FILE: b"\n"},
            info={
                "about.json": json.dumps(ABOUT).encode(),
                "run_exports.json": RUN_EXPORTS,
                "licenses/COPYING": COPYING,
            },
        )
        for version in ("1.2.0", "1.3.1", "1.4.0")
    ]
    real = sorted((SHARED_PACKAGES / "linux-64").glob("*.conda"))[:20] + sorted(
        (SHARED_PACKAGES / "osx-arm64").glob("du*")
    )
    upload_package_to_prefix([str(path) for path in [*made, *real]], hub.url, "geo-tools", api_key=key)
    hub.shell(DOWNLOADS)
    hub.shell(PUBLISHERS)
    hub.shell(APPLICATIONS)
    hub.shell(KEYS)
    hub.shell(TEAMS)
    hub.shell(WEBHOOKS)
    hub.shell(NOTICES)
    hub.shell(PROMOTIONS)
    hub.shell(LABELS)
    hub.shell(VIRTUAL)
    hub.shell(PATCHES)
    hub.shell(RETENTION)
    hub.shell(STATUS)
    hub.shell(UPSTREAM)
    hub.shell(WATCH)
