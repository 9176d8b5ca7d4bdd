"""A guest book in a PostgreSQL database, which the component talks to by itself.

The driver is pg8000, which is all Python, as it comes from the package index; its sockets are the
component's.
Where the database is, and who asks, the component's environment says (PGHOST, PGPORT, PGDATABASE, PGUSER,
PGPASSWORD).
"""

import encodings.idna  # noqa: F401  names are looked up with it; what is not imported here is not there later
import os
from contextlib import closing

import pg8000.native
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import book

CREATE = """
CREATE TABLE IF NOT EXISTS guestbook (
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  text text NOT NULL
)
"""
CONNECT_SECONDS_MAX = 5


def create(database: pg8000.native.Connection) -> None:
    # IF NOT EXISTS alone fails where two connections create it at once.
    database.run("SELECT pg_advisory_lock(1)")
    database.run(CREATE)
    database.run("SELECT pg_advisory_unlock(1)")


class Book(exports.Book):
    def sign(self, name: str, text: str) -> int:
        try:
            with closing(connected()) as database:
                create(database)
                [[number]] = database.run(
                    "INSERT INTO guestbook (name, text) VALUES (:name, :text) RETURNING number",
                    name=name, text=text,
                )  # fmt: skip
        except (pg8000.native.DatabaseError, pg8000.native.InterfaceError, OSError) as error:
            raise Err(reason(error)) from None
        return number

    def entries(self) -> list[book.Entry]:
        try:
            with closing(connected()) as database:
                create(database)
                rows = database.run("SELECT number, name, text FROM guestbook ORDER BY number")
        except (pg8000.native.DatabaseError, pg8000.native.InterfaceError, OSError) as error:
            raise Err(reason(error)) from None
        return [book.Entry(*row) for row in rows]


def connected() -> pg8000.native.Connection:
    """A connection of this call's own: by default the next call runs in another instance."""
    return pg8000.native.Connection(
        os.environ["PGUSER"],
        host=os.environ["PGHOST"],
        port=int(os.environ.get("PGPORT", "5432")),
        database=os.environ.get("PGDATABASE"),
        password=os.environ.get("PGPASSWORD"),
        timeout=CONNECT_SECONDS_MAX,
        ssl_context=False,  # Python guests have no TLS
    )


def reason(error: Exception) -> str:
    """What went wrong, and what lay under it."""
    return f"{error} ({error.__cause__})" if error.__cause__ is not None else str(error)
