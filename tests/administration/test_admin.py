"""Tests of the contents of Django's administration."""

import pytest
from django.contrib import admin
from django.test import Client

SECRETIVE = {"Authenticator", "SocialToken", "UserSession"}


def test_administration_has_no_page_that_shows_secrets() -> None:
    assert not {model.__name__ for model in admin.site._registry} & SECRETIVE


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["mfa/authenticator/", "socialaccount/socialtoken/", "usersessions/usersession/"])
def test_pages_of_unregistered_models_are_404(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/admin/{path}").status_code == 404
