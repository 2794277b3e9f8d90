"""Write the published OpenAPI documents: `python -m tests.contract.api.write_openapi`."""

import json
from pathlib import Path

from opentill.api.external.operations import DOCUMENT as EXTERNAL
from opentill.api.merchant.operations import DOCUMENT as MERCHANT

FOLDER = Path(__file__).parents[3] / "docs" / "openapi"
PUBLISHED = {"merchant.json": MERCHANT, "external.json": EXTERNAL}


def text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, document in PUBLISHED.items():
        (FOLDER / name).write_text(text(document))
