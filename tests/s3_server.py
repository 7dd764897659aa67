"""An S3 for tests: moto's server, real HTTP on loopback."""

from __future__ import annotations

import logging
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

S3_KEY, S3_SECRET = "a-test-key-id", "a-test-secret-key"


class S3Server:
    """An S3 that speaks HTTP on loopback (moto's), with one bucket."""

    BUCKET = "gblend"

    def __init__(self) -> None:
        self.port = 0
        self._server: ThreadedMotoServer | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that lead an AWS client here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": S3_KEY,
            "AWS_SECRET_ACCESS_KEY": S3_SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",  # s3fs tries again itself; a server that is away is seen so much sooner
        }

    def client(self) -> Any:
        """A client that shares no code with what is tested."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=S3_KEY,
            aws_secret_access_key=S3_SECRET,
            region_name="us-east-1",
        )

    def stored(self) -> list[str]:
        """Everything in the bucket."""
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket=self.BUCKET).get("Contents", ())]

    def start(self) -> None:
        """Start, or start again on the same port with what it had."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        self.client().create_bucket(Bucket=self.BUCKET)

    def begun(self) -> list[tuple[str, str]]:
        """Key and id of every upload in parts that was neither completed nor given up."""
        uploads = self.client().list_multipart_uploads(Bucket=self.BUCKET).get("Uploads", ())
        return [(upload["Key"], upload["UploadId"]) for upload in uploads]

    def empty(self) -> None:
        """Remove everything from the bucket, begun uploads too: a test that stops the server leaves one."""
        for key in self.stored():
            self.client().delete_object(Bucket=self.BUCKET, Key=key)
        for key, upload_id in self.begun():
            self.client().abort_multipart_upload(Bucket=self.BUCKET, Key=key, UploadId=upload_id)

    def stop(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Stop."""
        self.stop()
