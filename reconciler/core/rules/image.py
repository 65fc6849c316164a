"""Images that are named by a tag, which may be another image tomorrow."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.core.problem import quote
from reconciler.core.rules.remark import Remark

Json = Any
Path = tuple[str | int, ...]

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")


def image_remarks(config: Mapping[str, Json]) -> Iterator[Remark]:
    """A warning for each image without a digest."""
    for path, image in _images(config):
        if image and not _DIGEST.search(image):
            yield Remark(
                path,
                f"{quote(image)} is named without its digest, so tomorrow it may be another image; "
                f"expected one like {image.split('@')[0]}@sha256:…",
                "image-without-digest",
                "warning",
            )


def _images(config: Mapping[str, Json]) -> Iterator[tuple[Path, str | None]]:
    yield ("image",), config.get("image")
    for many in ("containers", "volumes"):
        for index, one in enumerate(config.get(many) or ()):
            yield (many, index, "image"), one.get("image")
