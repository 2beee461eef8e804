"""Django's admin, on a site of the hub that records every change."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    default_site = "channels_app.administration.site.HubAdminSite"
