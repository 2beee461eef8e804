"""Virtual channels of a large member: `python -m bench.virtual [--names N]`.

Two members have ready pieces, of N names and of a tenth of them. Each step is measured, with the peak memory of the
process.
"""
# ruff: noqa: E402  (models can be imported only after django.setup())

import argparse
import os
import resource
import time
from collections.abc import Callable

import django

import tests.environment  # noqa: F401  (its own data folder)

os.environ |= {"DJANGO_SETTINGS_MODULE": "hub.settings", "HUB_INDEX_PAUSE_MS": "1"}
django.setup()

from django.core.management import call_command

from channels_app.access.permissions import Actor
from channels_app.models import Channel, ChannelKind, User
from hub.sizes import human_size
from publishing.index import builds, marks, virtual_waits
from publishing.models import Fragment, IndexedName, SubdirIndex
from publishing.virtual import virtual
from publishing.virtual.virtual import MemberText, RuleText, Wanted
from tests.builders import make_channel, make_user

ROWS_AT_ONCE = 2000
RECORD = '"{name}-1.{n}-0.conda":{{"build":"0","build_number":0,"depends":["python >=3.9"],"name":"{name}"}}'
RECORDS = 10


def measured(what: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    peak = human_size(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(f"{what:50} {time.perf_counter() - begun:8.2f} s, peak memory {peak}")


def make_member(name: str, count: int, every: int = 1) -> SubdirIndex:
    """Create a channel whose pieces look as if they had been built."""
    channel = make_channel(name, is_private=False)
    index = marks.mark_stale(channel, "noarch", [])
    for start in range(0, count, ROWS_AT_ONCE):
        names = [f"package-{number * every}" for number in range(start, min(count, start + ROWS_AT_ONCE))]
        IndexedName.objects.bulk_create(
            IndexedName(index=index, name=each, changed=1, made=1, shard_sha256=f"{hash(name + each) % 2**63:064x}")
            for each in names
        )
        Fragment.objects.bulk_create(
            Fragment(index=index, section="packages.conda", name=each, body=records(each)) for each in names
        )
    return index


def records(name: str) -> str:
    return ",".join(RECORD.format(name=name, n=number) for number in range(RECORDS))


def change(user: User, channel: Channel, *rules: RuleText) -> None:
    wanted = Wanted([MemberText("small"), MemberText("large")], rules)
    virtual.change(actor=Actor(user=user), channel=channel, wanted=wanted)


def build(channel: Channel) -> None:
    for index in channel.indexes.exclude(subdir=""):
        builds.build_until_current(index.pk)


def change_one(index: SubdirIndex) -> None:
    IndexedName.objects.filter(index=index, name="package-7").update(shard_sha256="7" * 64)
    virtual_waits.note_build(index, ["package-7"])


def run(names: int) -> None:
    user = make_user()
    make_member("small", names // 10, every=10)
    large = make_member("large", names)
    merged = make_channel("merged", owner=user, is_private=False, kind=ChannelKind.VIRTUAL)
    rule = RuleText("package-1*", "never_from", "small")
    wanted = Wanted([MemberText("small"), MemberText("large")], [rule])
    print(f"{names:,} names")
    measured("Add two members", lambda: change(user, merged))
    measured("First build", lambda: build(merged))
    measured("Mark a change of one name", lambda: change_one(large))
    measured("Build after the change", lambda: build(merged))
    measured("Preview of a rule", lambda: virtual.preview(actor=Actor(user=user), channel=merged, wanted=wanted))
    measured("Save the rule", lambda: change(user, merged, rule))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=34_000)
    names = parser.parse_args().names
    call_command("migrate", verbosity=0)
    run(names)


if __name__ == "__main__":
    main()
