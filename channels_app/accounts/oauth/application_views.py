"""The page of applications that a user has authorized."""

from allauth.idp.oidc.models import Client
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.accounts.oauth import applications
from channels_app.authentication import actors


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """List the applications. A POST revokes the one with the id `revoke`; `?revoke=` asks for confirmation."""
    user = actors.person(request)
    if request.method == "POST":
        client = get_object_or_404(Client, pk=request.POST.get("revoke", "").replace("\0", ""))
        applications.revoke(user=user, client=client)
        messages.success(request, f"{client.name} can no longer access your account.")
        return redirect("account-applications")
    listed = applications.authorised(user)
    to_confirm = next((each for each in listed if each.client.pk == request.GET.get("revoke")), None)
    context = {"listed": listed, "to_confirm": to_confirm, "hub_url": settings.HUB_PUBLIC_URL}
    return render(request, "account/applications.html", context)
