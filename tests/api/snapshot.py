"""The OpenAPI document as reviewed, in openapi.json. To take a new one after a wanted change:

python -m tests.api.snapshot
"""

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("openapi.json")


def reviewed() -> Any:
    return json.loads(PATH.read_text(encoding="utf-8"))


def current() -> Any:
    from confhub.api.interface import api

    return json.loads(json.dumps(api.get_openapi_schema()))


def take() -> None:
    PATH.write_text(json.dumps(current(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    take()
