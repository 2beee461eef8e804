"""Cases of the fuzz test: seed and number determine a good package with one to three changes."""

from collections.abc import Callable
from random import Random

from tests.fuzz import document_mutations, tar_mutations, zip_mutations
from tests.fuzz.drafts import Draft, Tar, good

CHANGES_MOST = (1, 1, 1, 2, 2, 3)


def case(seed: int, number: int) -> Draft:
    """Return case `number` of `seed`."""
    random = Random(f"{seed} {number}")
    draft = good(random)
    for _ in range(random.choice(CHANGES_MOST)):
        draft.changes.append(random.choice(LAYERS)(random, draft))
    return draft


def _tar(random: Random, draft: Draft) -> str:
    mutation: Callable[[Random, Tar], str] = random.choice(tar_mutations.MUTATIONS)
    if random.random() < 0.8:
        return mutation(random, draft.pkg)
    seed = random.random()
    draft.info_changes.append(lambda tar: _ignore(mutation(Random(seed), tar)))
    return f"info archive: {mutation.__name__}"


def _container(random: Random, draft: Draft) -> str:
    if draft.extension == ".tar.bz2":
        return zip_mutations.bz2_stream(random, draft)
    mutation: Callable[[Random, Draft], str] = random.choice(zip_mutations.MUTATIONS)
    return mutation(random, draft)


def _documents(random: Random, draft: Draft) -> str:
    mutation: Callable[[Random, Draft], str] = random.choice(document_mutations.MUTATIONS)
    return mutation(random, draft)


def _flip(random: Random, draft: Draft) -> str:
    """Flip a bit in the whole file."""
    seed = random.random()

    def change(content: bytes) -> bytes:
        place, data = Random(seed).randrange(len(content)), bytearray(content)
        data[place] ^= 1 << Random(seed).randrange(8)
        return bytes(data)

    draft.whole.append(change)
    return "a bit of the file"


def _ignore(_: str) -> None:
    pass


LAYERS = (_tar, _tar, _tar, _container, _container, _documents, _documents, _flip)
