"""A lattice on this machine: what `lath up` starts and `lath down` ends."""

from lath_control.local.lattice import LocalLattice, LocalOptions
from lath_control.local.processes import ProcessRecord
from lath_control.local.state import LocalState, StateFile

__all__ = ["LocalLattice", "LocalOptions", "LocalState", "ProcessRecord", "StateFile"]
