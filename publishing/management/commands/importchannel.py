"""`manage.py importchannel CHANNEL --owner USER [--public]`: import the packages in the store as a channel.

`manage.py importchannel SOURCE --into CHANNEL`: import the packages of a channel's URL, a folder or a bucket.
"""

import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError

from channels_app.access import user_names
from channels_app.access.permissions import check_own_packages
from channels_app.channels import channels, pending_names
from channels_app.models import Channel, User
from hub import commands
from hub.errors import HubError
from hub.plain_text import one_line
from hub.storage import StoreError
from hub.storage.folder import FolderStore
from publishing.imports import imports, old_indexes, runs
from publishing.imports.imports import Wanted
from publishing.imports.sources import ChannelSource, Source, StoreSource, check_url
from publishing.index import builds
from publishing.labels.names import folded
from publishing.models import Import, ImportState, SourceKey
from publishing.transfer import channel_import

PROGRESS_S = 5
NICE = 10
AGAIN = "Run the command again: it continues where it stopped."
INTERRUPTED = 130  # as shells exit: 128 plus the number of SIGINT
S3 = "s3://"


class Command(commands.Command):
    help = "Import packages: those below CHANNEL/ in the store that have no row, or those of SOURCE into a channel."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", metavar="CHANNEL|SOURCE", help="a channel in the store; with --into, a source")
        parser.add_argument("--into", metavar="CHANNEL", help="import SOURCE: a URL, a folder or s3://BUCKET/PREFIX")
        parser.add_argument("--owner", metavar="USER", help="the owner, if the channel is new")
        parser.add_argument("--public", action="store_true", help="create a public channel, if it is new")
        parser.add_argument("--include", action="append", default=[], metavar="SPEC", help="only these packages")
        parser.add_argument("--exclude", action="append", default=[], metavar="SPEC", help="not these packages")
        parser.add_argument("--subdir", action="append", default=[], metavar="SUBDIR", help="only these subdirs")
        parser.add_argument("--newest", type=int, metavar="N", help="only the N newest versions of each name")
        parser.add_argument("--label", default="", metavar="NAME", help="give the files this label, instead of main")
        parser.add_argument(
            "--key-kind", choices=SourceKey.values, default=SourceKey.NONE, help="how SOURCE gets a key"
        )
        parser.add_argument("--key-file", type=Path, metavar="FILE", help="the file that has the key of SOURCE")

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command with a lower process priority than the hub."""
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        super().run_from_argv(argv)

    def handle(self, **options: Any) -> None:
        name = options["into"] or options["source"]
        try:
            channels.check_name(name)
            _check_kind(name)
            if options["into"]:
                refused = self._import_source(self._channel(name, options), options)
            else:
                owner = _owner(options)
                old_indexes.back_up(name)
                refused = self._import_packages(self._channel(name, options, owner))
        except (StoreError, OperationalError) as error:
            raise CommandError(f"{str(error).strip()}. {AGAIN}") from None
        except KeyboardInterrupt:
            raise CommandError(f"The import was stopped. {AGAIN}", returncode=INTERRUPTED) from None
        if refused:
            raise SystemExit(1)

    def _channel(self, name: str, options: dict[str, Any], owner: User | None = None) -> Channel:
        """Return the channel, which is created if it is new."""
        found = Channel.objects.filter(name=name).first()
        return found or self._create_channel(owner or _owner(options), name, options)

    def _create_channel(self, owner: User, name: str, options: dict[str, Any]) -> Channel:
        if pending := pending_names.of_another(name, owner):
            self.stdout.write(f"{pending.user}'s CI can't make the channel any more; they are told by mail.")
        return channels.create(name=name, owner=owner, is_private=not options["public"], is_by_operator=True)

    def _import_source(self, channel: Channel, options: dict[str, Any]) -> int:
        filters = {"include": options["include"], "exclude": options["exclude"], "subdirs": options["subdir"]}
        try:
            source, title = _source(options)
            label = folded(options["label"]) if options["label"] else ""
            wanted = Wanted(title, options["key_kind"], newest_versions=options["newest"], label=label, **filters)
            job = imports.operators_import(channel, wanted)
        except HubError as error:
            raise CommandError(error.detail) from None
        progress, earlier_files = Progress(), job.imported_files

        def tell(job: Import) -> None:
            if progress.is_due():
                job.refresh_from_db()
                done = job.imported_files - earlier_files + job.present_files
                self.stdout.write(progress.line(done, job.found_files or 0))

        runs.run(job.pk, source, tell)
        job.refresh_from_db()
        return self._report(job, earlier_files)

    def _report(self, job: Import, earlier_files: int) -> int:
        """Print the result of a run, and build the index. Return the number of refused files.

        Earlier runs of the import have imported `earlier_files`, which were there before this run.
        """
        for file in job.refused.all():
            self.stdout.write(one_line(f"{file}: {file.reason}"))
        _build(job.channel)
        if job.state != ImportState.DONE:
            raise CommandError(f"{job.failure or 'The import was stopped or runs in another process.'} {AGAIN}")
        refused = job.refused.count()
        imported = job.imported_files - earlier_files
        counts = f"imported: {imported}, there before: {job.present_files}, refused: {refused}"
        self.stdout.write(f"{job.channel}: {counts}.")
        return refused

    def _import_packages(self, channel: Channel) -> int:
        labels = old_indexes.create_labels(channel)
        imported, refused = 0, 0
        progress, total = Progress(), sum(old_indexes.package_counts(channel.name).values())
        for outcome in channel_import.import_packages(channel):
            refused += bool(outcome.refusal)
            imported += not outcome.refusal
            if outcome.refusal or outcome.note:
                self.stdout.write(one_line(f"{outcome.key}: {outcome.refusal or outcome.note}"))
            if progress.is_due():
                self.stdout.write(one_line(f"{progress.line(imported + refused, total)}; last: {outcome.key}"))
        if progress.was_due:
            self.stdout.write(f"{progress.line(imported + refused, total)}; building the index")
        _build(channel)
        yanked = channel.artifacts.filter(removal_reason=channel_import.YANKED).count()
        if labels:
            self.stdout.write(f"{channel}: labels: {len(labels)}. Set their ends again; the store has none.")
        self.stdout.write(f"{channel}: imported: {imported}, not imported: {refused}, yanked: {yanked}.")
        return refused


def _check_kind(name: str) -> None:
    """Raise CommandError if the channel exists and has no packages of its own."""
    if found := Channel.objects.filter(name=name).first():
        try:
            check_own_packages(found)
        except HubError as error:
            raise CommandError(error.detail) from None


def _owner(options: dict[str, Any]) -> User:
    """Return the owner of a new channel. Raise CommandError if there is no such user."""
    if not options["owner"]:
        raise CommandError("State the owner of the new channel: --owner USER.")
    owner = user_names.with_name(options["owner"]).first()
    if owner is None:
        raise CommandError(f"There is no user '{options['owner']}'; make one with createsuperuser or in the admin.")
    return owner


def _source(options: dict[str, Any]) -> tuple[Source, str]:
    """Return the source and its title in the row, which pages show: no path of the server."""
    text, key_file = options["source"], options["key_file"]
    if text.startswith(S3):
        from hub.storage.s3 import S3Store  # imports boto3, which takes half a second

        bucket, _, prefix = text.removeprefix(S3).partition("/")
        return StoreSource(S3Store(bucket_name=bucket, location=prefix.rstrip("/"))), text
    if "://" in text:
        url = check_url(text)
        return ChannelSource(url, options["key_kind"], key_file.read_text().strip() if key_file else ""), url
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise CommandError(f"There is no folder {folder}.")
    # Files of a folder come at once: more threads would only wait for the interpreter.
    return StoreSource(FolderStore(folder), threads=1), f"the folder {folder.name}"


def _build(channel: Channel) -> None:
    builds.open_channel(channel)
    builds.build_channel(channel)


class Progress:
    """Progress of the import, which is printed every few seconds."""

    def __init__(self) -> None:
        self.was_due = False
        self._began = self._due = time.monotonic()

    def is_due(self) -> bool:
        if time.monotonic() < self._due + PROGRESS_S:
            return False
        self._due = time.monotonic()
        self.was_due = True
        return True

    def line(self, count: int, total: int) -> str:
        seconds = time.monotonic() - self._began
        return f"{count:,} of {total:,} packages in {seconds:.0f} s, {count / max(seconds, 0.001):.0f}/s"
