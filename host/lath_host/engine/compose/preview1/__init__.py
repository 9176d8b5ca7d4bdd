"""WASI preview 1: core modules that were built for it, made components of WASI 0.2."""
