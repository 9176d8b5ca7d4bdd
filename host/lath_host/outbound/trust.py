"""Whom a host trusts over TLS: the system's authorities, and those of its files. Nothing has it trust all."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

from lath.errors import InvalidArgument


def client_context(ca_files: Iterable[Path] = ()) -> ssl.SSLContext:
    """What connections are made with: TLS 1.2 or later, the certificate and its name verified.

    Args:
        ca_files: Certificates of further authorities, PEM. Reads files: call it in a thread.

    Raises:
        InvalidArgument: A file cannot be read, or has no certificate; the message names it.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in ca_files:
        try:
            context.load_verify_locations(cafile=path)
        except ssl.SSLError:
            raise InvalidArgument(f"CA file {path} has no certificate in PEM form") from None
        except OSError as error:
            raise InvalidArgument(f"CA file {path} cannot be read: {error.strerror}") from None
    return context
