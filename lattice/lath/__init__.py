"""lath."""
