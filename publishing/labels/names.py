"""Names of labels, as uploads, pages and the API take them."""

from collections.abc import Iterable, Sequence

from django.http import HttpRequest

from channels_app.identifiers import LABEL, LABEL_MAX_CHARACTERS
from hub.errors import unprocessable
from publishing.wording import QUOTE_MAX_CHARACTERS

# Labels of a file, and so of one upload or change. Each has an index to build, and lists of files name all of them.
FILE_LABELS_MAX = 50


def parsed(values: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of `?label=dev&label=main` or `?label=dev,main`, each once. Raise HubError 422 for a bad one.

    Capitals become lower case, as in anaconda-client's `move`.
    """
    found = {name.strip().lower(): None for value in values for name in value.split(",") if name.strip()}
    if len(found) > FILE_LABELS_MAX:
        raise unprocessable(
            "too_many_labels", f"Found {len(found)} labels; expected at most {FILE_LABELS_MAX} at once."
        )
    return tuple(checked(name) for name in found)


def of_query(request: HttpRequest) -> tuple[str, ...]:
    """Return the labels that an upload chooses by its query; none for `main`."""
    return chosen(request.GET.getlist("label"))


def chosen(values: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of the parameters `label` of an upload. Raise HubError 422 if they are empty.

    A script whose variable is not set would otherwise publish in `main`.
    """
    found = parsed(values)
    if values and not found:
        raise unprocessable("bad_label", "'label' is empty. Expected the name of a label, or no 'label' for main.")
    return found


def folded(name: str) -> str:
    """Return the name of a label in lower case, as anaconda-client's `move` does. Raise HubError 422 for a bad one."""
    return checked(name.lower())


def checked(name: str) -> str:
    """Return the name of a label. Raise HubError 422 for a bad one."""
    if len(name) > LABEL_MAX_CHARACTERS or not LABEL.match(name):
        raise unprocessable(
            "bad_label",
            f"{name[:QUOTE_MAX_CHARACTERS]!r} is not a label. Expected at most {LABEL_MAX_CHARACTERS} of a-z, 0-9, "
            "'.', '_' and '-', and first a letter, a digit or '_'.",
        )
    return name
