"""A preview of an upstream's filters: how many of its records and names they leave, and some that they hide."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from django.utils import timezone

from channels_app.models import Channel
from hub.http.request_body import slot_of
from publishing.index import builds, upstream_records
from publishing.models import SubdirIndex, UpstreamName
from publishing.upstreams import judging, names, upstreams
from publishing.upstreams.filtering import FilterTexts
from publishing.upstreams.judging import Rules

# Of each subdir, one of a name.
EXAMPLES = 5
NAMES_AT_ONCE = 200
# A preview reads all records of a channel, so one of the threads of a process does it.
PREVIEWS = BoundedSemaphore(1)


@dataclass(frozen=True, slots=True)
class Example:
    """A record that the filters would hide, and that the channel does not hide by filters now."""

    subdir: str
    file_name: str
    text: str


@dataclass(slots=True)
class Counts:
    """Records and names. `names` and `records` stay; `going` are among `hidden`, `coming` among `records`.

    `names_going` would lose the last record that passes.
    """

    names: int = 0
    names_going: int = 0
    records: int = 0
    hidden: int = 0
    going: int = 0
    coming: int = 0


@dataclass(slots=True)
class Preview:
    """The records that filters would leave, with those that a cooldown hides or that are held back."""

    subdirs: dict[str, Counts] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    _passing: set[str] = field(default_factory=set)
    _staying: set[str] = field(default_factory=set)

    @property
    def total(self) -> Counts:
        """Return the sums over the subdirs. A name of several subdirs counts once."""
        counted = self.subdirs.values()
        sums = {name: sum(getattr(each, name) for each in counted) for name in ("records", "hidden", "going", "coming")}
        return Counts(len(self._staying), len(self._passing - self._staying), **sums)

    def add(self, row: UpstreamName, rules: Rules, now: int) -> None:
        """Count the records of a name."""
        counts = self.subdirs.setdefault(rules.subdir, Counts())
        going, staying, passing = list[Example](), 0, 0
        found = upstream_records.unpack(row.records).records
        hidden = judging.hidden(row.name, found, row.first_seen, rules, now)
        for file_name in found:
            passes = row.hidden.get(file_name, [""])[0] != judging.FILTERED
            kind, text = hidden.get(file_name, ["", ""])
            reason = text if kind == judging.FILTERED else ""
            passing += passes
            staying += not reason
            counts.hidden += bool(reason)
            counts.coming += not passes and not reason
            if passes and reason:
                going.append(Example(rules.subdir, file_name, reason))
        counts.records += staying
        counts.going += len(going)
        counts.names += bool(staying)
        counts.names_going += bool(passing and not staying)
        self._note(row.name, rules.subdir, going, is_passing=bool(passing), is_staying=bool(staying))

    def _note(self, name: str, subdir: str, going: list[Example], *, is_passing: bool, is_staying: bool) -> None:
        if is_passing:
            self._passing.add(name)
        if is_staying:
            self._staying.add(name)
        if going and sum(each.subdir == subdir for each in self.examples) < EXAMPLES:
            self.examples.append(going[0])


def preview(channel: Channel, wanted: FilterTexts) -> Preview:
    """Return the stored records that the filters would leave. The memory is bounded for channels of any size.

    Raise HubError 400 for bad filters, 503 while another preview runs in this process.
    """
    upstream = upstreams.of(channel)
    states = {state.subdir: state for state in upstream.subdir_states.all()}
    upstream.filters = upstreams.checked_filters(wanted)
    found, now = Preview(), int(timezone.now().timestamp() * 1000)
    with slot_of(PREVIEWS, "previews"):
        for index in (
            SubdirIndex.objects.filter(channel=channel).exclude(subdir=builds.WHOLE_CHANNEL).order_by("subdir")
        ):
            rules = names.rules_of(upstream, states.get(index.subdir), index.subdir)
            for row in _rows(index):
                found.add(row, rules, now)
    return found


def _rows(index: SubdirIndex) -> Iterator[UpstreamName]:
    """Yield the rows with records, sorted by name, a few at a time."""
    last = ""
    rows = index.upstream_names.filter(record_count__gt=0).only("index", "name", "records", "first_seen", "hidden")
    while some := list(rows.filter(name__gt=last).order_by("name")[:NAMES_AT_ONCE]):
        yield from some
        last = some[-1].name
