"""The file of the master keys: made on first start, readable by its owner only, extended by `opentill keys rotate`.

Whoever has the database and this file can read every sealed secret; back them up apart from each other.
"""

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path

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


def replace(path: Path, keys: MasterKeys) -> None:
    """Write the file anew, whole or not at all."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    _write_new(beside, keys)
    beside.replace(path)


def _write_new(path: Path, keys: MasterKeys) -> None:
    """Write a file that did not exist, for its owner only. Another process that was first wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {
            "current": keys.current,
            "keys": {key_id: b64encode(key).decode() for key_id, key in keys.keys.items()},
            "pepper": b64encode(keys.pepper).decode(),
        },
        indent=1,
    )
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
