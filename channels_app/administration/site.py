"""The administration's site, which records every change with the values before and after.

Registration adds the methods of Audited to each model's admin class, other apps' included.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.authentication import actors
from channels_app.models import Channel, User

# Events record only that these fields changed, not their values.
SECRETS = ("password", "secret", "digest", "hash", "token", "data", "key_set", "private_key")
SECRET_NAMES = {"key", "claims"}
HIDDEN = "hidden"
VALUE_CHARACTERS = 200
BEFORE = "channelhub.admin_before"  # in META: (model, pk) → its values before

Values = dict[str, Any]


class HubAdminSite(admin.AdminSite):
    """A site for superusers only: a right to edit accounts would include every other right."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and request.user.is_superuser

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse signed-in users without the right: another sign-in would not give it to them."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("Only administrators (superusers) can use the administration.")
        return super().login(request, extra_context)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        super().register(model_or_iterable, audited(admin_class or admin.ModelAdmin), **options)

    def password_change(  # type: ignore[override]  # the stubs know one of its response types only
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the hub's own page, which records the change and notifies the user."""
        return redirect("account_change_password")


class AuditMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Recording of additions, changes and deletions. `event` is the prefix of their actions."""

    event = "admin"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST":
            _store_before(request, found)
        return found

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            _store_before(request, type(obj)._default_manager.filter(pk=obj.pk).first())
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.record(request, "add", obj, {}, values_of(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        now = type(obj)._default_manager.get(pk=obj.pk)
        self.record(request, "change", now, _values_before(request, obj), values_of(now))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self.record(request, "delete", obj, values_of(obj), {})
        return super().log_deletions(request, queryset)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Record the changed inline rows."""
        before = _rows_before(formset)
        super().save_formset(request, form, formset, change)
        for obj in formset.new_objects:
            self.record(request, "add", obj, {}, values_of(obj))
        for obj, _ in formset.changed_objects:
            self.record(request, "change", obj, before[id(obj)], values_of(obj))
        for obj in formset.deleted_objects:
            self.record(request, "delete", obj, before[id(obj)], {})

    @transaction.atomic
    def response_action(  # type: ignore[override]  # the stubs have an argument that Django has not
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        """Run an action on the selected objects, and record those that it changed."""
        chosen = queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        before = {obj.pk: values_of(obj) for obj in chosen}
        response: HttpResponse | None = super().response_action(request, queryset)
        for obj in self.model._default_manager.filter(pk__in=before):
            self.record(request, "change", obj, before[obj.pk], values_of(obj))
        return response

    def record(self, request: HttpRequest, what: str, obj: Model, before: Values, now: Values) -> None:
        """Record the differences, if there are any."""
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if not names and what == "change":
            return
        changes = {name: {"from": _shown(name, before), "to": _shown(name, now)} for name in names}
        detail = {"model": obj._meta.label, "changes": changes}
        by = Actor(user=actors.person(request))
        channel, target = _channel(obj, what), _title(obj, self.event)[:300]
        log.record(Action(f"{self.event}.{what}"), by=by, channel=channel, target=target, detail=detail)
        for user in _users_of(obj, before, now):
            # A row that belongs to a user is recorded as a change of the user, who is notified.
            parts = {f"{obj._meta.verbose_name}, {name}": change for name, change in changes.items()}
            log.record(Action.USER_CHANGE, by=by, target=user.username, detail={"changes": parts})


def audited(admin_class: type[Any]) -> type[Any]:
    """Return the class with the methods of Audited."""
    if issubclass(admin_class, AuditMixin):
        return admin_class
    return type(admin_class.__name__, (AuditMixin, admin_class), {"__module__": admin_class.__module__})


def values_of(obj: Model) -> Values:
    """Return every field's database value; for many-to-many fields the sorted names."""
    values = {field.attname: getattr(obj, field.attname) for field in obj._meta.concrete_fields}
    if obj.pk:
        for many in obj._meta.many_to_many:
            values[many.name] = sorted(map(str, getattr(obj, many.name).all()))
    return values


def _shown(name: str, values: Values) -> str:
    """Return a value as an event may store it: secrets hidden, bytes as their size, long text cut."""
    value = values.get(name)
    if value is None or value == "":
        return ""
    if name in SECRET_NAMES or any(word in name for word in SECRETS):
        return HIDDEN
    text = f"{len(value)} bytes" if isinstance(value, bytes | memoryview) else str(value)
    return text[:VALUE_CHARACTERS]


def _store_before(request: HttpRequest, obj: Model | None) -> None:
    """Store the values from before the change; only the first call for an object counts."""
    if obj is not None:
        request.META.setdefault(BEFORE, {}).setdefault((type(obj), obj.pk), values_of(obj))


def _values_before(request: HttpRequest, obj: Model) -> Values:
    found: Values = request.META.get(BEFORE, {}).get((type(obj), obj.pk), {})
    return found


def _rows_before(formset: Any) -> dict[int, Values]:
    """Return the rows' database values by the id() of the form's object, which has no key after its deletion."""
    objects = [form.instance for form in formset.initial_forms]
    rows = formset.model._default_manager.in_bulk([obj.pk for obj in objects])
    return {id(obj): values_of(rows[obj.pk]) for obj in objects if obj.pk in rows}


def _users_of(obj: Model, before: Values, now: Values) -> QuerySet[User]:
    """Return the users that the row belonged to or belongs to; none for rows without a user."""
    return User.objects.filter(pk__in=[values.get("user_id") for values in (before, now)])


def _channel(obj: Model, what: str) -> Channel | None:
    found = obj if isinstance(obj, Channel) else getattr(obj, "channel", None)
    return found if isinstance(found, Channel) and what != "delete" else None


def _title(obj: Model, event: str) -> str:
    """Return the user name for users, by which mails find them; else the object with its model's name."""
    return str(obj) if event == "user" else f"{obj._meta.verbose_name} {obj}"
