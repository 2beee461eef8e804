"""What changes what clients download: uploading, removing, restoring; by pages and by the clients' protocols."""

from django.urls import path, re_path

from publishing import views
from publishing.protocols import prefix

urlpatterns = [
    re_path(r"^api/v1/upload/(?P<channel>[^/]*)\Z", prefix.upload, name="upload"),
    path("api/v1/delete/<str:channel>/<str:subdir>/<str:file_name>", prefix.delete, name="delete"),
    path("channels/<str:channel>/settings/upload", views.upload, name="channel-upload"),
    path("channels/<str:channel>/settings/upload/status", views.status, name="channel-upload-status"),
    path("channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/remove", views.remove, name="artifact-remove"),
]
