"""Runs the provider as a process: `python -m lath_providers.blobstore_s3`."""

from lath_providers.blobstore_s3.provider import BlobstoreS3

if __name__ == "__main__":
    BlobstoreS3.main()
