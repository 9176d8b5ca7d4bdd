"""The provider of wasmcloud:postgres on PostgreSQL."""

from lath_providers.postgres.config import PostgresConfig
from lath_providers.postgres.provider import Postgres

__all__ = ["Postgres", "PostgresConfig"]
