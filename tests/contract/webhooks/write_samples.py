"""Write the published sample bodies from the golden ones: `python -m tests.contract.webhooks.write_samples`."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from opentill.webhooks import schema

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = {"merchant-1.0-string": "merchant", "pix-1": "pix", "standard-2026-11-01-full": "standard"}
TARGET = Path(str(files("opentill.webhooks") / "schemas" / "samples.json"))


def samples() -> dict[str, Any]:
    """Return one golden body for every definition of an event that has one."""
    found = {
        f"{dialect}:{file.stem}": json.loads(file.read_bytes())
        for folder, dialect in VARIANTS.items()
        for file in sorted((GOLDEN / folder).glob("*.json"))
    }
    return {name: found[name] for name in schema.definitions() if name in found}


def text() -> str:
    return json.dumps(samples(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
