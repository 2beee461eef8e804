"""`manage.py exportchannel CHANNEL FOLDER`: write the packages that the hub holds as a plain conda channel."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from channels_app.models import Channel, ChannelKind
from hub import commands
from hub.storage import StoreError, store
from hub.storage.folder import FolderStore
from publishing.json_stream import BadJson
from publishing.transfer.channel_export import Export


class Command(commands.Command):
    help = "Write the packages of CHANNEL into FOLDER, with an index. Of an upstream channel: the cached packages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", metavar="CHANNEL")
        parser.add_argument("folder", metavar="FOLDER", type=Path, help="a folder; packages that it has are kept")

    def handle(self, **options: Any) -> None:
        export = Export(_channel(options["channel"]), _target(options["folder"]))
        try:
            for subdir in export.run():
                self.stdout.write(f"{subdir} is complete.")
        except StoreError as error:
            raise CommandError(f"{error}. Run the command again; it keeps the files that were written.") from None
        except BadJson as error:
            advice = "Run `manage.py verify --repair`, then this command again."
            raise CommandError(f"An index of the channel can't be read: {error}. {advice}") from None
        self.stdout.write(f"{export.channel}: {export.copied} files written, {export.present} there before.")
        if export.lost or export.wrong:
            faults = ", ".join([*export.lost, *export.wrong])
            raise CommandError(f"Left out, since the store lost or changed them: {faults}. See `manage.py verify`.")


def _channel(name: str) -> Channel:
    channel = Channel.objects.filter(name=name).first()
    if channel is None:
        raise CommandError(f"There is no channel '{name}'.")
    if channel.kind == ChannelKind.VIRTUAL:
        raise CommandError(f"'{name}' is a virtual channel, which has no packages. Export its members.")
    return channel


def _target(folder: Path) -> FolderStore:
    target, own = FolderStore(folder), store()
    if isinstance(own, FolderStore) and Path(target.root).is_relative_to(own.root):
        raise CommandError(f"{folder} is in the hub's own store, whose indexes an export would replace. Name another.")
    return target
