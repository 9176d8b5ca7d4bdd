"""Runs the provider as a process: `python -m lath_providers.blobstore_fs`."""

from lath_providers.blobstore_fs.provider import BlobstoreFs

if __name__ == "__main__":
    BlobstoreFs.main()
