"""`manage.py checkstore`: what the configured store does, what it does not, and what follows from that."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.storage import store
from hub.storage.checks import check, is_usable


class Command(BaseCommand):
    help = "Probe the configured store. Fails only where the hub can't work with it."

    def handle(self, **options: Any) -> None:
        findings = check(store())
        for finding in findings:
            self.stdout.write(f"{finding.probe:16} {finding.outcome:8} {finding.sentence}")
        if not is_usable(findings):
            raise CommandError("The hub can't work with this store; see what is broken above.")
