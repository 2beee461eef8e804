"""`manage.py checkstore`: probe the configured store and explain each result."""

from typing import Any

from django.core.management.base import CommandError

from hub import commands
from hub.storage import store
from hub.storage.checks import check, is_usable
from hub.storage.probes import ProbeOutcome


class Command(commands.Command):
    help = "Probe the configured store. Fails only if the hub can't work with it. --verbosity 0 prints only problems."

    def handle(self, **options: Any) -> None:
        findings = check(store())
        for finding in findings:
            if options["verbosity"] == 0 and finding.outcome is ProbeOutcome.WORKS:
                continue
            self.stdout.write(f"{finding.probe:16} {finding.outcome:8} {finding.sentence}")
        if not is_usable(findings):
            raise CommandError("The hub can't work with this store; see what is broken above.")
