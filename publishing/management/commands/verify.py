"""`manage.py verify [CHANNEL] [--hash] [--repair] [--json]`: compare database, index files and store."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from channels_app.models import Channel
from hub import commands
from hub.plain_text import one_line
from hub.storage import StoreError
from publishing.verification import repairs, unknown_files, verification
from publishing.verification.differences import Difference


class Command(commands.Command):
    help = "Compare database, index files and store. The exit code is 1 if differences are left."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", nargs="?", help="the channel; default: all channels")
        parser.add_argument("--hash", action="store_true", help="also read every byte")
        parser.add_argument("--repair", action="store_true", help="repair the differences, if possible")
        parser.add_argument("--json", action="store_true", help="print one JSON document instead")

    def handle(self, **options: Any) -> None:
        self.is_quiet = options["json"]
        self.file_count, self.damaged_count, self.found_count = 0, 0, 0
        self.left: list[Difference] = []
        try:
            for channel in self._channels(options["channel"]):
                self._verify(channel, is_hashed=options["hash"], is_repairing=options["repair"])
            if options["channel"] is None:
                self._report(unknown_files.unknown_channels(), [])
        except StoreError as error:
            raise CommandError(f"{error}. Nothing more was compared; try again when the store answers.") from None
        self._end(is_json=options["json"])

    def _channels(self, name: str | None) -> list[Channel]:
        found = list(Channel.objects.filter(name=name) if name else Channel.objects.filter(deleted_at=None))
        if name and not found:
            raise CommandError(f"There is no channel '{name}'.")
        return found

    def _verify(self, channel: Channel, *, is_hashed: bool, is_repairing: bool) -> None:
        verified = verification.verify(channel, is_hashed=is_hashed)
        differences = verified.differences
        left = repairs.repair(channel, differences) if is_repairing else differences
        verification.save_result(channel, verified, left, is_hashed=is_hashed)
        self.file_count += verified.file_count
        self.damaged_count += verification.damaged_count(channel)
        self._say(f"{channel}: {_counted(verified.file_count, 'artifact')}, {_counted(len(differences), 'difference')}")
        self._report(left, [difference for difference in differences if difference not in left])

    def _report(self, left: list[Difference], repaired: list[Difference]) -> None:
        self.found_count += len(left) + len(repaired)
        self.left += left
        for difference in repaired:
            self._say(f"  repaired: {difference.kind}: {difference.key}")
        for difference in left:
            self._say(f"  {difference.kind}: {difference.key}: {difference.sentence}")

    def _say(self, line: str) -> None:
        if not self.is_quiet:
            self.stdout.write(one_line(line))

    def _end(self, *, is_json: bool) -> None:
        counts = {
            "packages": self.file_count,
            "damaged": self.damaged_count,
            "differences": self.found_count,
            "left": len(self.left),
        }
        if is_json:
            self.stdout.write(json.dumps(counts | {"differences_left": [asdict(each) for each in self.left]}))
        if self.damaged_count:
            self._say(f"Left out of the index until their bytes are right again: {self.damaged_count}")
        artifacts, differences = _counted(self.file_count, "artifact"), _counted(self.found_count, "difference")
        self._say(f"{artifacts}, {differences}, {len(self.left)} left.")
        if self.left:
            raise SystemExit(1)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
