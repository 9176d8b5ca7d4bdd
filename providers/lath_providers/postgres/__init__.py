"""The provider of wasmcloud:postgres on PostgreSQL."""

from lath_providers.postgres.config import PostgresConfig

try:
    from lath_providers.postgres.provider import Postgres
except ModuleNotFoundError as e:
    raise ImportError(f"postgres needs the extra `postgres` (pip install 'lath[postgres]'): {e}") from None

__all__ = ["Postgres", "PostgresConfig"]
