"""Every path of the hub. A channel's own files come last: whatever is not the hub's is a channel's."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, re_path

from channels_app import views
from hub import health
from publishing import downloads
from publishing.protocols import prefix

handler400 = "channels_app.views.misdirected"
handler404 = "channels_app.views.not_found"
handler500 = "channels_app.views.failed"

urlpatterns = [
    path("", views.home, name="home"),
    path("admin/", admin.site.urls),
    path(
        "accounts/login", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"
    ),
    path("accounts/logout", LogoutView.as_view(), name="logout"),
    path("healthz", health.healthz, name="healthz"),
    re_path(r"^api/v1/upload/(?P<channel>[^/]*)\Z", prefix.upload, name="upload"),
    path("<str:channel>/<path:path>", downloads.channel_file, name="channel-file"),
]
