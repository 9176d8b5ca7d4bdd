"""The provider of wasi:blobstore on S3."""

try:
    from lath_providers.blobstore_s3.config import BlobstoreS3Config
    from lath_providers.blobstore_s3.provider import BlobstoreS3
except ModuleNotFoundError as e:
    raise ImportError(f"blobstore-s3 needs the extra `s3` (pip install 'lath[s3]'): {e}") from None

__all__ = ["BlobstoreS3", "BlobstoreS3Config"]
