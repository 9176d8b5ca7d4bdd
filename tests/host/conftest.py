"""Fixtures for tests of hosts."""

from lath_host.testing import engine, host, hosts, lattice_in_process

__all__ = ["engine", "host", "hosts", "lattice_in_process"]
