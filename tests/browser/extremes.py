"""The sample hub with the longest legal names and texts: `lengthen()` changes its rows, and PAGES are its pages."""

import re

from tests.browser.sample_hub import PAGES as SAMPLE_PAGES
from tests.live import LiveHub


def filled(start: str, part: str, length: int) -> str:
    """Return a name of `length` characters: `start` and many parts. Its last characters are letters."""
    return (start + part * length)[: length - 2] + "xx"


WORD = "Donaudampfschifffahrtsgesellschaftskapitaen"
BUILD = filled("cuda120", "_py313", 64)
# Texts of the sample → the longest legal ones in their places.
LONG = {
    "geo-tools": filled("geo", ".of-every_station", 128),
    "field-lab": "f" * 128,
    "strata": filled("strata", "_of.many-words", 64),
    "strata-next": "n" * 128,
    **{name: name.ljust(64, "w") for name in ("relief", "gdal", "gdal-core", "proj", "python", "dummy-a")},
    "linux-64": "linux-" + "x" * 26,
    "olga": filled("olga", ".of_the-survey", 150),
    "max": "m" * 150,
    "ada": "A" * 150,
    "mappers": "t" * 100,
    "mara@example.org": "m" * 64 + "@" + "e" * 60 + "." + "e" * 60 + "." + "e" * 59 + ".example",
    "https://ci.example.org/hooks/channelhub/projects/geo-tools-nightly": "https://ci.example.org/" + "h" * 477,
    "https://chat.example.org/hook": "https://" + "c" * 60 + ".example.org/" + "hook-" * 80,
    "https://example.org/strata": "https://example.org/" + "s" * 480,
    "https://example.org/strata/source": "https://example.org/" + "source/" * 68,
    "strata/recipes": "o" * 39 + "/" + "r" * 100,
    "strata/tools/palettes": "/".join("tools-and-palettes" * 5 for _ in range(3)),
    "release.yml": "w" * 200 + ".yml",
    "release": "e" * 255,
    **dict.fromkeys(["workstation in the basement", "old laptop", "nightly builds"], "K" * 100),
    "laptop": filled("laptop", " with-a_long.name", 100),
    **dict.fromkeys(["Rasters and their layers", "Who draw the maps", "Layers of rasters, lazily"], f"{WORD} " * 11),
    **dict.fromkeys(["Tested by the night build.", "For the survey.", "Service unavailable"], f"{WORD}-" * 11),
    **dict.fromkeys(["Nightly builds", "Unused for a year", "strata does not work with gdal 3.9"], WORD * 4),
    **dict.fromkeys(["No space left on device", "queued as build 4711", "Promote them again."], WORD * 10),
    "strata 2 needs gdal 3.9. Stay at strata 1 until Sunday.": WORD * 23,
    "share/strata/aux.txt": f"share/{'deep/' * 40}{'w' * 200}/aux.txt",
}
for name in ("1.2.0", "1.3.1", "1.4.0"):
    LONG[name] = filled(name, ".20", 59) + "+g012"
    LONG[f"{name}-0.conda"] = f"{LONG[name]}-{BUILD}.conda"
WORDS = rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(LONG, key=len, reverse=True)))})(?!\w)"
LENGTHEN = f"""
import re
from datetime import timedelta
from allauth.account.models import EmailAddress
from django.apps import apps
from django.db import transaction
from django.db.models import CharField, JSONField, TextField
from django.utils import timezone
from publishing.index import upstream_records
from publishing.models import UpstreamName
long, words, kinds = {LONG!r}, re.compile({WORDS!r}), (CharField, JSONField, TextField)

def longer(value):
    found = words.sub(lambda match: json.dumps(long[match[0]])[1:-1], json.dumps(value))
    return json.loads(found)

# One transaction, so that no build of the index comes between.
with transaction.atomic():
    for model in apps.get_models():
        names = [each.name for each in model._meta.concrete_fields if isinstance(each, kinds) and not each.primary_key]
        for row in model._base_manager.values('pk', *names) if names else []:
            changed = {{name: longer(row[name]) for name in names if longer(row[name]) != row[name]}}
            if changed:
                model._base_manager.filter(pk=row['pk']).update(**changed)
    for row in UpstreamName.objects.all():
        row.records = upstream_records.pack(upstream_records.NameRecords(*longer(upstream_records.unpack(row.records))))
        row.save(update_fields=['records'])
    Artifact.objects.filter(file_name__endswith='{BUILD}.conda').update(build='{BUILD}', size_bytes=10**12)
    for model in (Artifact, Package):
        model.objects.update(download_count=10**9)
    Package.objects.update(updated_at=timezone.now() - timedelta(days=400))
    Package.objects.filter(name='jupyter').update(latest_version='')
    subdirs = [f'{{system}}-{{n:x<20}}' for system in ('linux', 'osx', 'win', 'zos') for n in range(2)]
    Package.objects.filter(name='deno').update(subdirs=[long['linux-64'], *subdirs])
    for user in User.objects.all():
        address = str(user.pk) + long['mara@example.org'][1:]
        EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
"""
PAGES = {
    name: (who and LONG.get(who, who), re.sub(WORDS, lambda match: LONG[match[0]], path))
    for name, (who, path) in SAMPLE_PAGES.items()
}


def lengthen(hub: LiveHub) -> None:
    """Put the longest legal texts in place of those of the sample."""
    hub.shell(LENGTHEN)
