"""What the providers of wasi:keyvalue share: its operations, over one `Store` for each bucket."""

from lath_providers.keyvalue.buckets import OWN_BUCKET, bucket_name, default_bucket
from lath_providers.keyvalue.numbers import U64_MAX, sum_of
from lath_providers.keyvalue.provider import Bucket, KeyValueProvider, no_such_store
from lath_providers.keyvalue.store import Store

__all__ = [
    "OWN_BUCKET",
    "U64_MAX",
    "Bucket",
    "KeyValueProvider",
    "Store",
    "bucket_name",
    "default_bucket",
    "no_such_store",
    "sum_of",
]
