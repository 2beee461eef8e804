"""The upload page: its script or a plain form sends one file by POST, with the session's cookie."""

from hub.protocols import Protocol, Upload
from publishing.protocols import upload_check
from publishing.uploads import views

PROTOCOL = Protocol(
    uploads=(
        Upload(
            route="channels/<str:channel>/settings/upload",
            name="channel-upload",
            view=views.upload,
            check=upload_check.by_session,
        ),
    ),
)
