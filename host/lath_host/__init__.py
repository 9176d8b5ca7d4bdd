"""A process that runs components and supervises providers: a host of the lattice."""

from lath_host.host import Host
from lath_host.options import HostOptions

__all__ = ["Host", "HostOptions"]
