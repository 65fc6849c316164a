"""The fields of a `UserAppSet`: a table of users, and the template that makes a user app of each row.

Answers for what the document may say by itself. Reading the table is `table`'s, filling the template in
`row_template`'s, checking the rows `row_check`'s.
"""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.problem import quote
from reconciler.core.scalar import Strict, wrong

Json = Any


def _below(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or not path.strip("/.") or not path.isprintable():
        raise wrong(
            f"{quote(path)} must be a path from this document's folder downwards, without ..", "bad-path"
        )
    return path


def _digest(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise wrong(
            f"{quote(value)} is not a SHA-256 digest: 64 digits of 0-9 and a-f, as sha256sum prints it",
            "bad-digest",
        )
    return value


File = Annotated[str, AfterValidator(_below)]


class RowsSpec(Strict):
    """Where the rows are: one of `rows`, `csv` and `jsonl`."""

    rows: list[dict[str, Json]] | None = Field(
        default=None, description="The rows themselves: column names and values of each."
    )
    csv: File | None = Field(
        default=None,
        description="A CSV file with a header, comma-separated; its path from this document's folder.",
    )
    jsonl: File | None = Field(
        default=None, description="A file with one JSON object a line; its path from this document's folder."
    )
    count: int | None = Field(
        default=None, ge=0, description="How many rows there are; the set is refused whole when it differs."
    )
    sha256: Annotated[str, AfterValidator(_digest)] | None = Field(
        default=None, description="The file's SHA-256; the set is refused whole when it differs."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in (self.rows, self.csv, self.jsonl)) != 1:
            raise wrong("exactly one of rows, csv and jsonl must be given", "exactly-one-of")
        if self.rows is not None and self.sha256 is not None:
            raise wrong("sha256 is a file's; rows have none", "fields-exclude-each-other")
        return self

    @property
    def file(self) -> str | None:
        """None: the rows stand in the document."""
        return self.csv or self.jsonl


class RowMetadata(Strict):
    """The user app's name and labels; `{column}` stands for the row's value."""

    name: str = Field(default="{name}", description="Its name: one for each row.")
    labels: dict[str, str] = Field(default_factory=dict, description="For people; nothing depends on them.")


class RowTemplateSpec(Strict):
    """A `UserApp` in which `{column}` stands for the row's value, and `{{` for a brace."""

    metadata: RowMetadata = Field(default=RowMetadata(), description="The user app's name and labels.")
    spec: dict[str, Json] = Field(
        description=(
            "The user app's spec. `{column}` is replaced inside values, never in keys, so that a row can "
            "add no field. What a row says stays text, unless `{column}` stands alone where a number or "
            "true or false is wanted."
        )
    )


class UserAppSetSpec(Strict):
    """Many user apps of one make: one for each row of a table."""

    source: RowsSpec = Field(description="The rows.")
    template: RowTemplateSpec = Field(description="What each row becomes.")
    overrides: dict[str, dict[str, Json]] = Field(
        default_factory=dict,
        description=(
            "What is different for a few: by user name, a JSON merge patch (RFC 7396) over that user's "
            "spec. A row of `rows` or `jsonl` may have its own under the reserved column `overrides`."
        ),
    )
