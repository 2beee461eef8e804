"""A pending channel name is one user's, and what starts a run is on a list that each publisher may widen.

Of several users who wait for one name, the one whose publisher is the oldest keeps it. What waits for a channel that
is there moves to it where its user manages the channel, else it ends. Whoever loses a publisher gets an event and a mail.
"""

import hashlib
import json
from datetime import timedelta

from django.db import migrations
from django.utils import timezone

WITH_EVENTS = ("github", "gitlab", "buildkite", "circleci")
PENDING = timedelta(days=30)
MANAGERS = ("owner", "maintainer")


def add_events_field(apps, schema_editor):
    publishers = apps.get_model("publishing", "TrustedPublisher").objects
    for publisher in publishers.filter(issuer__provider__in=WITH_EVENTS).iterator():
        publisher.fields = {"events": "", **publisher.fields}
        publisher.identity = identity(publisher.fields)
        publisher.save(update_fields=["fields", "identity"])


def identity(fields):
    """As publishers.py made it when this was written."""
    compact = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(compact.encode()).hexdigest()


def settle_names(apps, schema_editor):
    publishers = apps.get_model("publishing", "TrustedPublisher").objects
    publishers.filter(channel=None, expires_at__lte=timezone.now()).delete()
    for publisher in publishers.filter(channel=None).order_by("pk"):
        if channel := apps.get_model("channels_app", "Channel").objects.filter(name=publisher.channel_name).first():
            move(apps, publisher, channel)
        else:
            keep_name(apps, publisher)


def move(apps, publisher, channel):
    managers = channel.members.filter(user_id=publisher.created_by_id, role__in=MANAGERS)
    same = channel.publishers.filter(issuer_id=publisher.issuer_id, identity=publisher.identity)
    if publisher.created_by_id is None or not managers.exists():
        end(apps, publisher)
    elif same.exists():
        publisher.delete()
    else:
        publisher.channel, publisher.channel_name, publisher.expires_at = channel, "", None
        publisher.save(update_fields=["channel", "channel_name", "expires_at"])


def keep_name(apps, publisher):
    if publisher.created_by_id is None:
        end(apps, publisher)
        return
    until = publisher.expires_at or timezone.now() + PENDING
    names = apps.get_model("channels_app", "PendingName").objects
    own = {"user_id": publisher.created_by_id, "expires_at": until}
    held, _ = names.get_or_create(name=publisher.channel_name, defaults=own)
    if held.user_id != publisher.created_by_id:
        end(apps, publisher)
    elif held.expires_at < until:
        names.filter(pk=held.pk).update(expires_at=until)


def end(apps, publisher):
    user_id = publisher.created_by_id
    event = apps.get_model("channels_app", "AuditEvent").objects.create(
        action="publisher.end",
        target=publisher.subject or publisher.issuer.url,
        detail={"channel": publisher.channel_name, "fields": publisher.fields, "user": user_id},
    )
    apps.get_model("channels_app", "Outgoing").objects.create(
        task="channels_app.tasks.tell", args=[event.pk], lane="events"
    )
    publisher.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0014_limits"),
        ("publishing", "0005_turns"),
    ]

    operations = [
        migrations.RunPython(add_events_field, migrations.RunPython.noop),
        migrations.RunPython(settle_names, migrations.RunPython.noop),
    ]
