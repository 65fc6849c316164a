"""`reconciler schema`."""

from reconciler import terminal
from reconciler.writing.schema import schema_text


def schema() -> None:
    """Print the JSON Schema of all kinds, for editors: save it beside your specs."""
    terminal.say(schema_text())
