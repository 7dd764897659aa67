"""Data on object stores: known from listings, copied to this disk when they are needed.

A root may be a URL prefix (`s3://bucket/datasets`). What lies below it has a path like everything else, so that specs,
manifests and sources need not know the difference: `<mirror>/remote/s3/bucket/datasets/clips/1.wav`. That path is a
name; nothing is ever there. `Shelf` says what such a name stands for: it answers from listings, one per folder, and
fetches objects into the mirror, `<mirror>/objects/...`, a copy per version of an object.

Nothing is asked of a store at import, nor for a path that is not below a root.
"""

from core.data.remote.ahead import fetching_ahead
from core.data.remote.files import RemoteBlob, RemoteFiles, Shelf

__all__ = ["RemoteBlob", "RemoteFiles", "Shelf", "fetching_ahead"]
