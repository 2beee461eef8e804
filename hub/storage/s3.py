"""The store as an S3 bucket, with the settings and options of django-storages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.utils.http import content_disposition_header
from s3transfer.constants import ALLOWED_DOWNLOAD_ARGS
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from hub.sizes import MIB
from hub.storage import (
    Chunks,
    Entry,
    NotInStore,
    Stat,
    StoreError,
    as_store_error,
    check_range,
    checked,
    checked_folder,
)
from hub.storage.botocore_internals import parse_times_fast

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef, ListObjectsV2OutputTypeDef

# Defaults for options that AWS_S3_CLIENT_CONFIG does not set.
CLIENT_DEFAULTS = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=64,
    # Several S3 implementations refuse the checksums that botocore sends by default since 1.36.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
PACKAGE_TYPE = "application/octet-stream"
# S3 copies at most 5 GiB by one request. Smaller parts end before the read timeout.
COPY_CONFIG = TransferConfig(multipart_threshold=256 * MIB, multipart_chunksize=256 * MIB, use_threads=False)

_ABSENT_CODES = ("NoSuchKey", "404")  # a response to HEAD has no body with the name of the error
# KeyError: a response without a header that S3 promises.
_FAULTS = (OSError, BotoCoreError, ClientError, Boto3Error, HTTPError, KeyError)


class S3Store:
    def __init__(self, **options: Any) -> None:
        self._storage = _OneConnectionS3Storage(**options)
        self._storage.client_config = CLIENT_DEFAULTS.merge(self._storage.client_config)
        self._bucket: str = self._storage.bucket_name
        self._location: str = checked_folder(self._storage.location)

    def put(self, key: str, source: Path | bytes, *, content_type: str = PACKAGE_TYPE) -> None:
        name = self._location + checked(key)
        options = {**self._write_options(key), "ContentType": content_type}
        with _as_store_error("put", key):
            if isinstance(source, bytes):
                self._client.put_object(Bucket=self._bucket, Key=name, Body=source, **options)
            else:
                config = self._storage.transfer_config
                self._client.upload_file(str(source), self._bucket, name, ExtraArgs=options, Config=config)

    def put_new(self, key: str, content: bytes) -> bool:
        """Put `content` if the key is new; return False if it exists. Some stores ignore the condition."""
        name = self._location + checked(key)
        with _as_store_error("put", key):
            try:
                self._client.put_object(Bucket=self._bucket, Key=name, Body=content, IfNoneMatch="*")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.PRECONDITION_FAILED:
                    return False
                raise
        return True

    def copy(self, source: str, target: str) -> None:
        name = self._location + checked(target)
        origin: CopySourceTypeDef = {"Bucket": self._bucket, "Key": self._location + checked(source)}
        options = {**self._write_options(target), "ContentType": PACKAGE_TYPE, "MetadataDirective": "REPLACE"}
        options |= {f"CopySource{key}": value for key, value in options.items() if key.startswith("SSECustomer")}
        with _as_store_error("copy", source):
            self._client.copy(origin, self._bucket, name, ExtraArgs=options, Config=COPY_CONFIG)

    def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
        check_range(key, first, last)
        name = self._location + checked(key)
        options = self._read_options(key)
        ranged = first > 0 or last is not None
        if ranged:
            options["Range"] = f"bytes={first}-{'' if last is None else last}"
        with _as_store_error("open", key):
            answer = self._client.get_object(Bucket=self._bucket, Key=name, **options)
        # Checked by Content-Range, not by status: rclone and lakeFS answer 200 to a range.
        in_range = not ranged or answer.get("ContentRange", "").startswith(f"bytes {first}-")
        if not in_range or "ContentLength" not in answer:
            answer["Body"].close()
            raise StoreError(
                f"The store could not open {key}: it answered without the range or the length of its bytes"
            )
        return Chunks(key, answer["Body"], answer["ContentLength"], *_FAULTS)

    def stat(self, key: str) -> Stat | None:
        name = self._location + checked(key)
        with suppress(NotInStore), _as_store_error("stat", key):
            found = self._client.head_object(Bucket=self._bucket, Key=name, **self._read_options(key))
            return Stat(found["ContentLength"], found["LastModified"])
        return None

    def url(self, key: str, *, method: str, expires_s: int, file_name: str) -> str | None:
        if method not in ("GET", "HEAD") or not self._signs_urls:
            return None
        disposition = content_disposition_header(as_attachment=True, filename=file_name)
        with _as_store_error("sign", key):
            signed: str = self._storage.url(
                checked(key), {"ResponseContentDisposition": disposition}, expire=expires_s, http_method=method
            )
        return signed

    def unsigned_urls(self, key: str) -> tuple[str, str]:
        """Return the URLs of the key and of the bucket's list without credentials. A private bucket refuses both."""
        name = self._location + checked(key)
        file = self._client.generate_presigned_url("get_object", Params={"Bucket": self._bucket, "Key": name})
        folder = self._client.generate_presigned_url("list_objects_v2", Params={"Bucket": self._bucket})
        return file.partition("?")[0], folder.partition("?")[0] + "?list-type=2"

    def delete(self, key: str) -> None:
        name = self._location + checked(key)
        with suppress(NotInStore), _as_store_error("delete", key):
            self._client.delete_object(Bucket=self._bucket, Key=name)

    def list(self, prefix: str) -> Iterator[str]:
        return (key for key, _ in self.stats(prefix))

    def stats(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        folder = self._location + checked_folder(prefix)
        with _as_store_error("list", prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder):
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._location), Stat(found["Size"], found["LastModified"])

    def folders(self, prefix: str) -> Sequence[str]:
        folder = self._location + checked_folder(prefix)
        with _as_store_error("list", prefix):
            found = [
                each["Prefix"].removeprefix(folder).removesuffix("/")
                for page in self._pages(folder)
                for each in page.get("CommonPrefixes", ())
            ]
        return sorted(found)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        folder = self._location + checked_folder(prefix)
        with _as_store_error("list", prefix):
            for page in self._pages(folder, after):
                for found in page.get("Contents", ()):
                    name, modified_at = found["Key"].removeprefix(folder), found["LastModified"]
                    yield Entry(name, found["Size"], modified_at, modified_at, found["ETag"].strip('"'))

    def _pages(self, folder: str, after: str = "") -> "Iterator[ListObjectsV2OutputTypeDef]":
        """Yield the pages of a folder's list from the name `after` on, without the keys in its folders."""
        pages = self._client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self._bucket, Prefix=folder, Delimiter="/", StartAfter=folder + after)

    def delete_unfinished(self, *, older_than_s: int) -> int:
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        with _as_store_error("delete_unfinished", self._bucket):
            pages = self._client.get_paginator("list_multipart_uploads")
            uploads = [
                (upload["Key"], upload["UploadId"])
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._location)
                for upload in page.get("Uploads", ())
                if upload["Initiated"] < before
            ]
            for name, upload_id in uploads:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload_id)
        return len(uploads)

    @property
    def _client(self) -> "S3Client":
        client: S3Client = self._storage.connection.meta.client
        return client

    @property
    def _signs_urls(self) -> bool:
        """Tell whether URLs expire. Those of a plain custom domain don't, and would outlive a revocation."""
        signer = self._storage.cloudfront_signer if self._storage.custom_domain else True
        return bool(signer and self._storage.querystring_auth)

    def _write_options(self, key: str) -> dict[str, Any]:
        acl = {"ACL": self._storage.default_acl} if self._storage.default_acl else {}
        return {**acl, **self._storage.get_object_parameters(key)}

    def _read_options(self, key: str) -> dict[str, Any]:
        options = self._storage.get_object_parameters(key)
        return {name: value for name, value in options.items() if name in ALLOWED_DOWNLOAD_ARGS}


class _OneConnectionS3Storage(S3Storage):  # type: ignore[misc]
    """S3Storage with one client for all threads. django-storages opens one per thread, of 0.1 s and 17 MiB each."""

    @cached_property
    def connection(self) -> Any:
        parse_times_fast()
        return super().connection


@contextmanager
def _as_store_error(verb: str, key: str) -> Iterator[None]:
    with as_store_error(verb, key, *_FAULTS):
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT_CODES:
                raise NotInStore(key) from None
            raise
