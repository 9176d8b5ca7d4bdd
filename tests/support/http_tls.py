"""A certificate for `localhost` and `*.example.org`, and its key: for tests alone, and known to everybody."""

from __future__ import annotations

import ssl
from pathlib import Path

KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgr8O5dpc9+UJo1FMc
i9OmGwbHecP+KGoeCg3PmzAb+gGhRANCAASyYPliQg6TekZp6Kwe1pLRi1fcdO6q
ReFieqqVI+Fbuybi0T1X3F6bwLg2ZcFgjpqm3bOCiVFY2IRfswiMGtxt
-----END PRIVATE KEY-----
"""
CERT = """-----BEGIN CERTIFICATE-----
MIIBdjCCARygAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLJg+WJCDpN6Rmno
rB7WktGLV9x07qpF4WJ6qpUj4Vu7JuLRPVfcXpvAuDZlwWCOmqbds4KJUVjYhF+z
CIwa3G2jXTBbMCkGA1UdEQQiMCCCCWxvY2FsaG9zdIINKi5leGFtcGxlLm9yZ4cE
fwAAATAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBThn/NQPVzGgQnlMN+rdH4M
9Wa1kjAKBggqhkjOPQQDAgNIADBFAiEAqhD92GD4MwcNA07LjyyDlYkqWPPgepYV
8e6KsQ1Mz90CIBYvLNo9AIC0m557BriaFyDjMiE0E3lZnH/GKS7Bfz1W
-----END CERTIFICATE-----
"""


def write_pair(folder: Path) -> dict[str, str]:
    """Writes both into files. Returns a listener's settings for them."""
    (folder / "cert.pem").write_text(CERT)
    (folder / "key.pem").write_text(KEY)
    return {"tls_cert": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the certificate."""
    return ssl.create_default_context(cadata=CERT)
