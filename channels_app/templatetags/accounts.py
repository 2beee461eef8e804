"""Template tags of the sign-in pages."""

import json
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.forms.boundfield import BoundField

from channels_app.accounts import browsers
from channels_app.audit import mailing

register = template.Library()


@register.inclusion_tag("parts/field.html")
def labelled_field(field: BoundField, label: str, help_text: str = "") -> dict[str, Any]:
    """Render a field of an allauth form with a label of the hub: `{% worded form.login "User name or e-mail" %}`."""
    field.label, field.help_text, field.field.help_text = label, help_text, help_text
    field.field.widget.attrs.pop("placeholder", None)
    return {"field": field}


@register.filter
def browser(user_agent: str) -> str:
    return browsers.in_words(user_agent)


@register.filter
def as_json(value: object) -> str:
    """Serialize a value for an attribute that a script reads."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.simple_tag(takes_context=True)
def next_query(context: dict[str, Any]) -> str:
    """Return the query of a sign-in link that leads back to this page. Sign-in pages keep their own `next`."""
    request = context["request"]
    here = request.GET.get("next") if request.path.startswith("/accounts/") else request.get_full_path()
    return f"?{urlencode({'next': here})}" if here and here != "/" else ""


@register.simple_tag(takes_context=True)
def responsible_person(context: dict[str, Any]) -> str:
    """Return the person to ask for the missing right: an administrator on their pages, else a channel's owner."""
    of_hub = context["request"].path.split("/")[1] in ("admin", "status")
    return "an administrator of the hub" if of_hub else "an owner of the channel"


@register.simple_tag
def sends_mail() -> bool:
    return mailing.is_set_up()


@register.simple_tag(takes_context=True)
def sign_up_is_open(context: dict[str, Any]) -> bool:
    return bool(get_adapter().is_open_for_signup(context["request"]))
