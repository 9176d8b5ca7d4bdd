"""`lath demo`: the main job on real parts, step by step, each with what was expected and what came."""

from lath_control.demo.run import run_demo

__all__ = ["run_demo"]
