"""Admin pages of users: handing over before an account ends, and removal of second factors."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from channels_app.access import user_names
from channels_app.accounts import factor_removal
from channels_app.administration.site import AuditMixin
from channels_app.authentication import actors
from channels_app.models import User
from channels_app.people import handing_over, sole_owners
from channels_app.people.sole_owners import ADMINISTRATOR
from channels_app.quotas import user_limits
from channels_app.ui.form_errors import shown_in
from channels_app.ui.form_fields import AS_TYPED


def checked_name(name: str) -> str:
    for validate in user_names.VALIDATORS:
        validate(name)
    return name


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    """The form of a new user, with the rules for names at sign-up."""

    def clean_username(self) -> str:
        return checked_name(super().clean_username() or "")


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    """The user form, which reports channels and teams without an owner or manager before it saves."""

    def clean_username(self) -> str:
        """Check a changed name. An unchanged one may be older than the rules."""
        name: str = self.cleaned_data["username"]
        return checked_name(name) if "username" in self.changed_data else name

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        before = User.objects.filter(pk=self.instance.pk).first()
        if before is None:
            return values
        ends = before.is_active and not values.get("is_active")
        alone = sole_owners.sole_ownership([before])
        if ends and alone.sentences():
            self.add_error("is_active", " ".join([*alone.sentences(), "Hand them over first: “Hand over”, above."]))
        elif alone.is_hub:
            for right in ADMINISTRATOR:
                if getattr(before, right) and not values.get(right):
                    self.add_error(right, sole_owners.MAKE_ANOTHER)
        return values


class HandOverForm(forms.Form):
    username = forms.CharField(
        label="User name of the new owner", max_length=150, widget=forms.TextInput(AS_TYPED | {"size": 30})
    )
    deactivate = forms.BooleanField(required=False, initial=True, label="Then deactivate the account")


class HubUserAdmin(AuditMixin, UserAdmin):  # type: ignore[type-arg]
    event = "user"
    form = UserForm
    add_form = NewUserForm
    actions = ["remove_factors"]
    change_form_template = "admin/hub_user_change.html"
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Limits", {"fields": ["limits"]}))

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "limits" in form.base_fields:
            form.base_fields["limits"].validators.append(user_limits.validate)
        return form

    def get_urls(self) -> list[URLPattern]:
        hand_over = path(
            "<int:user_id>/hand-over/", self.admin_site.admin_view(self.hand_over), name="channels_app_user_hand_over"
        )
        return [hand_over, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Check again before saving: since the form was validated, another owner or administrator may have left."""
        if change and not obj.is_active and "is_active" in form.changed_data:
            sole_owners.check_may_end([User.objects.get(pk=obj.pk)])
        elif change and any(right in form.changed_data and not getattr(obj, right) for right in ADMINISTRATOR):
            sole_owners.check_an_administrator_stays(obj)
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List the channels and teams that would lose their last owner or manager as protected."""
        deleted, counts, permissions, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, permissions, [*protected, *_protected(list(objs))]

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        sole_owners.check_may_end([obj])
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        sole_owners.check_may_end(list(queryset))
        super().delete_queryset(request, queryset)

    @admin.action(description="Remove the second factors of selected users", permissions=["change"])
    def remove_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            removed = factor_removal.remove_all(user=user, by=actors.person(request))
            messages.success(request, factor_removal.in_words(user, removed))

    def hand_over(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Show the form that hands over the user's channels and teams to a new owner, and deactivates the account."""
        user = get_object_or_404(User, pk=user_id)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        form = HandOverForm(request.POST or None)
        if form.is_valid():
            by = actors.person(request)
            with shown_in(form, "username"):
                handed = handing_over.hand_over(by=by, user=user, **form.cleaned_data)
                messages.success(request, handing_over.in_words(handed, form.cleaned_data["username"]))
                return redirect("admin:channels_app_user_change", user.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Hand over channels and teams of {user}",
            "subtitle": None,
            "opts": self.opts,
            "original": user,
            "form": form,
            "alone": sole_owners.sole_ownership([user]),
        }
        return render(request, "admin/hand_over.html", context)


def _protected(users: list[User]) -> list[str]:
    """Return the reasons against a deletion, followed by each user's link to the hand-over page."""
    sentences = sole_owners.sole_ownership(users).sentences()
    if not sentences:
        return []
    links = [
        format_html(
            '<a href="{}">Hand over channels and teams of {}</a>',
            reverse("admin:channels_app_user_hand_over", args=[u.pk]),
            u,
        )
        for u in users
        if sole_owners.sole_ownership([u]).sentences()
    ]
    return [*sentences, *links]
