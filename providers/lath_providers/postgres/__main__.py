"""Runs the provider as a process: `python -m lath_providers.postgres`."""

from lath_providers.postgres.provider import Postgres

if __name__ == "__main__":
    Postgres.main()
