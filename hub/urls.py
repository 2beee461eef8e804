"""Every path of the hub. A channel's own files come last: whatever is not the hub's is a channel's."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from hub import health
from publishing import downloads

handler400 = "channels_app.views.misdirected"
handler403 = "channels_app.views.denied"
handler404 = "channels_app.views.not_found"
handler500 = "channels_app.views.failed"

# Django's own form would ask for no second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("channels_app.urls")),
    path("", include("publishing.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("<str:channel>/<path:path>", downloads.channel_file, name="channel-file"),
]
