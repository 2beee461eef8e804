"""The account's profile page; allauth, keys, teams and applications provide the other sections."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    return render(request, "account/profile.html")
