"""The page about localfly names exactly what localfly does not imitate."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from localfly.api.call import UNIMITATED
from localfly.api.config import Config, HttpOptions, Init, Mount, Restart, Service, ServicePort
from localfly.api.guest import Guest
from tests.localfly.test_api import IMITATED, PUBLISHED, shape

PAGE = (Path(__file__).parents[2] / "docs" / "localfly.md").read_text(encoding="utf-8")
OPERATIONS = PAGE.partition("\n## Operations\n")[2].partition("\n## ")[0]
PARTS: dict[str, type[BaseModel]] = {
    "": Config,
    "init.": Init,
    "guest.": Guest,
    "services.": Service,
    "services.ports.": ServicePort,
    "services.ports.http_options.": HttpOptions,
    "mounts.": Mount,
    "restart.": Restart,
}


def _unimitated() -> Iterator[str]:
    for prefix, part in PARTS.items():
        for name, field in part.model_fields.items():
            if UNIMITATED in field.metadata:
                yield prefix + name


def test_the_page_lists_every_operation_that_is_a_501_and_no_other() -> None:
    listed = re.findall(r"^(GET|POST|PUT|PATCH|DELETE) (/v1/\S+)$", OPERATIONS, re.MULTILINE)
    assert listed == [operation for operation in PUBLISHED if shape(*operation) not in IMITATED]
    assert f"[{len(IMITATED)} operations](#operations)" in PAGE


def test_the_page_lists_every_part_of_a_config_that_is_a_501_and_no_other() -> None:
    sentence = OPERATIONS.partition("Of a machine's config these are 501 when they say anything:")[2]
    assert set(re.findall(r"`([a-z0-9_.]+)`", sentence.partition("\n\n")[0])) == set(_unimitated())
