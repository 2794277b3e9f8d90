"""The file of the master keys: made on first start, readable by its owner only, extended by `opentill keys rotate`.

Whoever has the database and this file can read every sealed secret; back them up apart from each other.
"""

import fcntl
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from opentill.kernel.secret import Keyring, MasterKeys, new_keys
from opentill.settings import Settings


def key_file(settings: Settings) -> Path:
    return Path(settings.master_key_file) if settings.master_key_file else settings.data / "master.key"


def open_keyring(settings: Settings) -> Keyring:
    """Return the installation's keyring; the first start makes the keys."""
    path = key_file(settings)
    if not path.exists():
        _write_new(path, new_keys())
    return Keyring(read(path), reload=lambda: read(path))


def read(path: Path) -> MasterKeys:
    stored = json.loads(path.read_text())
    keys = {key_id: b64decode(key) for key_id, key in stored["keys"].items()}
    return MasterKeys(keys, current=stored["current"], pepper=b64decode(stored["pepper"]))


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep other processes from changing the keys meanwhile: of two new keys one would be lost, and what it sealed."""
    with key_file(settings).with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def replace(path: Path, keys: MasterKeys) -> None:
    """Write the file anew, whole or not at all. It is on disk before anything can be sealed under a new key."""
    _draft(path, keys).replace(path)
    _settle(path.parent)


def _write_new(path: Path, keys: MasterKeys) -> None:
    """Write a file that did not exist, for its owner only. Another process that was first wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, keys)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _settle(path.parent)


def _draft(path: Path, keys: MasterKeys) -> Path:
    """Write keys into a file beside, of a name nobody else has, readable by its owner only; return that file."""
    text = json.dumps(
        {
            "current": keys.current,
            "keys": {key_id: b64encode(key).decode() for key_id, key in keys.keys.items()},
            "pepper": b64encode(keys.pepper).decode(),
        },
        indent=1,
    )
    descriptor, name = mkstemp(prefix=f"{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _settle(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
