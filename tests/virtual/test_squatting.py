"""Random histories of a virtual channel, compared with a model: a squatted name never wins."""

from fnmatch import fnmatchcase
from random import Random

import pytest

from channels_app.models import Channel, User
from publishing.index import marks, virtual_waits
from publishing.virtual.virtual import RuleText
from tests.builders import make_channel
from tests.virtual.channels import make_virtual, set_members

pytestmark = pytest.mark.django_db

TRIES = 1000
OWN, OUTSIDE = ("acme", "partner"), "forge"
NAMES = [f"{word}{n}" for word in ("acme-", "lib", "num") for n in range(40)]
GLOBS = ("acme-*", "acme-1", "lib?", "num[0-2]", "*")


class Model:
    """The rules in plain Python: the first member in order that ever had the name and that no rule excludes."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.rules: list[RuleText] = []
        self.has: dict[str, set[str]] = {name: set() for name in (*OWN, OUTSIDE)}

    def owners(self) -> dict[str, str]:
        found = {}
        for name in NAMES:
            bringing = [each for each in self.order if name in self.has[each] and not self._is_excluded(name, each)]
            if bringing:
                found[name] = bringing[0]
        return found

    def _is_excluded(self, name: str, member: str) -> bool:
        return any(
            fnmatchcase(name, rule.names)
            and (rule.channel == member if rule.act == "never_from" else rule.channel != member)
            for rule in self.rules
        )


def test_squatted_name_never_wins_in_a_thousand_tries(olga: User) -> None:
    random, model = Random(16), Model()
    members = {name: make_channel(name, owner=olga, is_private=False) for name in model.has}
    virtual = make_virtual(olga)
    reserved = RuleText("acme-*", "never_from", OUTSIDE)
    for number in range(TRIES):
        if number % 20 == 0:
            model.order = random.sample(sorted(model.has), k=random.choice((2, 3)))
            model.rules = sorted({reserved, *(random_rule(random) for _ in range(random.randrange(3)))})
            set_members(olga, virtual, *model.order, rules=tuple(model.rules))
        else:
            publish(members[random.choice((*OWN, OUTSIDE, OUTSIDE))], random.choice(NAMES), random, model)
        owners = shown(virtual)
        assert owners == model.owners()
        assert OUTSIDE not in {owner for name, owner in owners.items() if name.startswith("acme-")}


def random_rule(random: Random) -> RuleText:
    act = random.choice(("only_from", "never_from"))
    return RuleText(random.choice(GLOBS), act, random.choice((*OWN, OUTSIDE)))


def publish(channel: Channel, name: str, random: Random, model: Model) -> None:
    """Publish the name in a subdir, and end the build of its index. Its removal later would change nothing here."""
    index = marks.mark_stale(channel, random.choice(("noarch", "linux-64")), [name])
    virtual_waits.note_build(index, [name])
    model.has[channel.name].add(name)


def shown(virtual: Channel) -> dict[str, str]:
    """Return package name → name of the member that brings it."""
    return dict(virtual.virtual_names.values_list("name", "member__member__name"))
