"""Runs the provider as a process: `python -m lath_providers.blobstore_memory`."""

from lath_providers.blobstore_memory.provider import BlobstoreMemory

if __name__ == "__main__":
    BlobstoreMemory.main()
