"""Errors of the hub's functions, shown in forms."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.forms import Form

from hub.errors import HubError


@contextmanager
def shown_in(form: Form, field: str | None = None, *, fields: Mapping[str, str] | None = None) -> Iterator[None]:
    """End the block at a HubError and add it to the form.

    `fields` maps codes to form fields. Other errors go to `field`, or to the whole form.
    """
    try:
        yield
    except HubError as error:
        at = (fields or {}).get(error.code, field)
        form.add_error(at if at in form.fields else None, error.detail)


@contextmanager
def raised_as_validation_error() -> Iterator[None]:
    """Raise ValidationError for a HubError, as the `clean` methods of forms and fields must."""
    try:
        yield
    except HubError as error:
        raise ValidationError(error.detail) from None
