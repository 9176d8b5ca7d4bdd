"""The folder of one link on disk: every call blocks, and is made in a thread.

Folders are opened one by one from the root down, without following a symbolic link, and files relative to
them: so no link that somebody puts below the root leads out of it, whenever they do so. Nothing stays open
in between.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from lath.errors import Conflict, InvalidArgument, LathError, PermissionDenied, Unavailable
from lath.names import shown
from lath.provider import BackendLost
from lath_providers.blobstore.backend import (
    ContainerInfo,
    ObjectId,
    ObjectInfo,
    no_such_container,
    no_such_object,
)
from lath_providers.blobstore.places import Places
from lath_providers.blobstore_fs import paths

UNFINISHED_KEPT_S: Final = 24 * 3600
"""A file that nobody has written to for so long is one whose writer died."""
PLACE_TRIES: Final = 5
"""Folders of long names go with their last object; somebody who puts one there makes them again."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE: Final = frozenset({errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO})
"""What a disk or a network file system answers when it is no longer there."""
_NO_FOLDER: Final = (FileNotFoundError, NotADirectoryError)


class Tree:
    """The containers of a link below a root. What goes wrong is told as `BlobBackend` says.

    Args:
        root: The folder of all containers.
        places: Which of them are the link's.
    """

    def __init__(self, root: str, places: Places) -> None:
        self._root = root
        self._places = places

    def check(self) -> None:
        """Sees whether the root can be read and written."""
        with self._opened() as (stack, root):
            if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionDenied(f"the folder {self._root} cannot be read and written")
            _enter(stack, root, paths.UNFINISHED, make=True)

    def sweep(self) -> None:
        """Deletes what writers that died have left."""
        before = time.time() - UNFINISHED_KEPT_S
        with self._opened() as (stack, root):
            unfinished = _enter(stack, root, paths.UNFINISHED, make=True)
            with os.scandir(unfinished) as entries:
                left = list(entries)
            for entry in left:
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.name, dir_fd=unfinished)  # a deleted container, not wholly gone
                    elif os.stat(entry.name, dir_fd=unfinished, follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.name, dir_fd=unfinished)

    # --- containers ----------------------------------------------------------------------------------

    def create_container(self, name: str) -> None:
        with self._opened() as (stack, root):
            home = self._home(stack, root, name, make=True)
            folder = paths.container_folder(name)
            try:
                os.mkdir(folder, dir_fd=home)
            except FileExistsError:
                raise Conflict(f"container {shown(name)} is there already") from None
            container = _enter(stack, home, folder)
            os.close(os.open(paths.CREATED, _WRITE, dir_fd=container))
            os.fsync(container)
            os.fsync(home)

    def delete_container(self, name: str) -> None:
        with self._opened() as (stack, root):
            self._container(stack, root, name)
            unfinished = _enter(stack, root, paths.UNFINISHED, make=True)
            home = self._home(stack, root, name)
            gone = secrets.token_hex(16)
            try:
                os.rename(paths.container_folder(name), gone, src_dir_fd=home, dst_dir_fd=unfinished)
            except FileNotFoundError:
                raise no_such_container(name) from None
            os.fsync(home)
            with suppress(FileNotFoundError):  # another's sweep
                shutil.rmtree(gone, dir_fd=unfinished)

    def container_exists(self, name: str) -> bool:
        with self._opened() as (stack, root):
            try:
                self._container(stack, root, name)
            except LathError:
                return False
            return True

    def container_info(self, name: str) -> ContainerInfo:
        with self._opened() as (stack, root):
            container = self._container(stack, root, name)
            try:
                created = os.stat(paths.CREATED, dir_fd=container, follow_symlinks=False)
            except FileNotFoundError:
                created = os.fstat(container)  # a folder that an operator made
            return ContainerInfo(name, int(created.st_mtime))

    def names(self, container: str) -> Iterator[str]:
        """The names of the objects, as the folder gives them. To be closed."""
        with self._opened() as (stack, root):
            yield from self._walk(self._container(stack, root, container), ())

    # --- objects -------------------------------------------------------------------------------------

    def has_object(self, container: str, name: str) -> bool:
        with self._opened() as (stack, root):
            folder = self._container(stack, root, container)
            return _stat_object(stack, folder, name) is not None

    def object_info(self, container: str, name: str) -> ObjectInfo:
        with self._opened() as (stack, root):
            found = _stat_object(stack, self._container(stack, root, container), name)
            if found is None:
                raise no_such_object(container, name)
            return ObjectInfo(container, name, int(found.st_mtime), found.st_size)

    def open_object(self, container: str, name: str) -> int:
        """A descriptor of the object's file, to be closed."""
        with self._opened() as (stack, root):
            folder = self._container(stack, root, container)
            try:
                *folders, file = paths.object_parts(name)
                for each in folders:
                    folder = _enter(stack, folder, each)
                fd = os.open(file, _READ, dir_fd=folder)
            except OSError as e:
                if isinstance(e, _NO_FOLDER) or e.errno == errno.ELOOP:
                    raise no_such_object(container, name) from None
                raise
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise no_such_object(container, name)
            return fd

    def begin(self, container: str, unfinished: str) -> int:
        """A descriptor of a new file to write to, under the name `unfinished`; to be closed."""
        with self._opened() as (stack, root):
            self._container(stack, root, container)
            folder = _enter(stack, root, paths.UNFINISHED, make=True)
            return os.open(unfinished, _WRITE, 0o666, dir_fd=folder)

    def write(self, fd: int, data: memoryview) -> int:
        """Appends to a file what goes in at once; returns how many bytes."""
        with self._telling():
            return os.write(fd, data)

    def read(self, fd: int, size: int, at: int) -> bytes:
        """Bytes of a file; none past its end."""
        with self._telling():
            return os.pread(fd, size, at)

    def commit(self, unfinished: str, fd: int, container: str, name: str) -> None:
        """Makes the file that was written the object, and has both on disk."""
        with self._opened() as (stack, root):
            os.fsync(fd)
            folder = _enter(stack, root, paths.UNFINISHED)
            self._place(stack, root, (folder, unfinished), ObjectId(container, name))

    def abandon(self, unfinished: str) -> None:
        """Deletes a file that does not become an object."""
        with self._opened() as (stack, root), suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=_enter(stack, root, paths.UNFINISHED))

    def delete_objects(self, container: str, names: Sequence[str]) -> None:
        with self._opened() as (stack, root):
            folder = self._container(stack, root, container)
            for name in names:
                with suppress(*_NO_FOLDER):
                    _delete(folder, paths.object_parts(name))
            os.fsync(folder)

    def move(self, source: ObjectId, to: ObjectId) -> None:
        """At once: nobody sees both, or neither."""
        with self._opened() as (stack, root):
            folder = self._container(stack, root, source.container)
            if _stat_object(stack, folder, source.name) is None:
                raise no_such_object(*source)
            *folders, file = paths.object_parts(source.name)
            for each in folders:
                folder = _enter(stack, folder, each)
            self._place(stack, root, (folder, file), to)
            os.fsync(folder)

    # --- inside --------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[tuple[ExitStack, int]]:
        """The root, opened, and what closes all that is opened below it."""
        with ExitStack() as stack:
            try:
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as e:
                raise BackendLost(f"the folder {self._root}: {e.strerror}", may_have_run=False) from e
            stack.callback(os.close, root)
            with self._telling():
                yield stack, root

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            said = f"the file system of {self._root}: {e.strerror or e}"
            if e.errno in _GONE:
                raise BackendLost(said) from e
            if isinstance(e, PermissionError) or e.errno == errno.EROFS:
                raise PermissionDenied(said) from e
            raise Unavailable(said) from e

    def _home(self, stack: ExitStack, root: int, container: str, *, make: bool = False) -> int:
        """The folder that the container's folder is in."""
        if container in self._places.shared:
            return root
        links = _enter(stack, root, paths.LINKS, make=make)
        return _enter(stack, links, self._places.own, make=make)

    def _container(self, stack: ExitStack, root: int, name: str) -> int:
        try:
            return _enter(stack, self._home(stack, root, name), paths.container_folder(name))
        except OSError as e:
            # a symbolic link in its place answers ELOOP or ENOTDIR
            if isinstance(e, _NO_FOLDER) or e.errno == errno.ELOOP:
                raise no_such_container(name) from None
            raise

    def _place(self, stack: ExitStack, root: int, what: tuple[int, str], to: ObjectId) -> None:
        """Renames a file (its folder and name) to an object's, making the folders of a long name."""
        *folders, file = paths.object_parts(to.name)
        for left in reversed(range(PLACE_TRIES)):
            into = [self._container(stack, root, to.container)]
            try:
                for each in folders:
                    into.append(_enter(stack, into[-1], each, make=True))
                os.rename(what[1], file, src_dir_fd=what[0], dst_dir_fd=into[-1])
            except FileNotFoundError:
                if not left:
                    raise
                continue
            for folder in into:
                os.fsync(folder)
            return

    def _walk(self, folder: int, above: tuple[str, ...]) -> Iterator[str]:
        with os.scandir(folder) as entries:
            for entry in entries:
                parts = (*above, entry.name)
                if entry.name.endswith(paths.FOLDER_MARK):
                    with ExitStack() as stack, suppress(*_NO_FOLDER):
                        yield from self._walk(_enter(stack, folder, entry.name), parts)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(InvalidArgument):
                        yield paths.object_name(parts)


def _enter(stack: ExitStack, folder: int, name: str, *, make: bool = False) -> int:
    """Opens a folder inside of another, making it where it is not there and is to be."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    fd = os.open(name, _FOLDER, dir_fd=folder)
    stack.callback(os.close, fd)
    return fd


def _delete(folder: int, parts: tuple[str, ...]) -> None:
    """Deletes a file below a folder, and the folders of its long name where it was the last one in them."""
    if len(parts) == 1:
        os.unlink(parts[0], dir_fd=folder)
        return
    with ExitStack() as stack:
        inner = _enter(stack, folder, parts[0])
        _delete(inner, parts[1:])
        os.fsync(inner)
    with suppress(OSError):  # it holds others
        os.rmdir(parts[0], dir_fd=folder)


def _stat_object(stack: ExitStack, folder: int, name: str) -> os.stat_result | None:
    try:
        *folders, file = paths.object_parts(name)
        for each in folders:
            folder = _enter(stack, folder, each)
        found = os.stat(file, dir_fd=folder, follow_symlinks=False)
    except _NO_FOLDER:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
