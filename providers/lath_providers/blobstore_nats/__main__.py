"""Runs the provider as a process: `python -m lath_providers.blobstore_nats`."""

from lath_providers.blobstore_nats.provider import BlobstoreNats

if __name__ == "__main__":
    BlobstoreNats.main()
