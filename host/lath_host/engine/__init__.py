"""The engine: compiles components, and runs their instances asynchronously, within limits."""

from lath_host.engine.engine import CompiledComponent, Engine

__all__ = ["CompiledComponent", "Engine"]
