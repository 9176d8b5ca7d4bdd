"""TLS as the server speaks it: 1.2 and up, with HTTP/2 offered."""

from __future__ import annotations

import ssl
from typing import Final

from lath.errors import InvalidArgument

HTTP2: Final = "h2"
_OFFERED: Final = [HTTP2, "http/1.1"]


def server_tls(cert_path: str, key_path: str) -> ssl.SSLContext:
    """The context of a listener. It reads files: not on the event loop.

    Raises:
        InvalidArgument: One of them cannot be read, or they do not belong together.
    """
    for name, path in (("tls_cert", cert_path), ("tls_key", key_path)):
        try:
            with open(path, "rb"):
                pass
        except OSError as e:
            raise InvalidArgument(f"{name}: {path} cannot be read: {e.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_OFFERED)
    try:
        context.load_cert_chain(cert_path, key_path, password=_no_password)
    except ssl.SSLError as e:
        raise InvalidArgument(
            f"tls_cert {cert_path} and tls_key {key_path} are no certificate and its key, in PEM, without a"
            f" password: {e.reason or e}"
        ) from None
    return context


def _no_password() -> str:
    """Else OpenSSL asks for one on the terminal."""
    return ""
