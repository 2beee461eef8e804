"""Django's administration on a site of the hub's own, which records every change."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    default_site = "channels_app.administration.site.HubAdminSite"
