"""What each finding means: why it matters and what mends it, by its code.

The documentation and `explain CODE` are made from this. Codes are stable: scripts may name them. Where
each is found is in `document`, `envelope`, `complaint`, `reference` and the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Finding:
    why: str
    fix: str


FINDINGS: Mapping[str, Finding] = MappingProxyType(
    {
        # Files and YAML
        "unreadable": Finding(
            "What such a file would say is unknown, so no user app counts as gone while it is there.",
            "Make it readable: permissions, UTF-8, an ordinary file inside the folder.",
        ),
        "yaml-syntax": Finding(
            "The text up to the next --- has no meaning, so it may have been any document.",
            "Mend the YAML at the place shown, or somewhat before it.",
        ),
        "yaml-tab": Finding("YAML forbids tabs as indentation.", "Indent with spaces."),
        "yaml-character": Finding(
            "YAML forbids most control characters, and Fly's API and its machines trip over NUL.",
            "Remove the character.",
        ),
        "yaml-key-twice": Finding(
            "Of two values for one key, readers disagree which one counts.", "Keep one of them."
        ),
        "yaml-anchor": Finding(
            "What an alias stands for is far from where it is read, and small files can unfold without end.",
            "Write the value out, or put what is shared into a Machine, Service or UserAppSet.",
        ),
        "yaml-merge-key": Finding(
            "Merge keys are no part of YAML 1.2, and which value wins is easily misread.",
            "Write the fields out.",
        ),
        "yaml-tag": Finding(
            "A tag changes what a value means, and some make programs run.", "Leave the tag out."
        ),
        "yaml-key-not-text": Finding(
            "Fields are named by text.", "Use one word, or quoted text, as the key."
        ),
        "yaml-too-deep": Finding(
            "No spec needs such depth, and programs that read it may fail.", "Take the nesting apart."
        ),
        "yaml-too-large": Finding(
            "Reading a document costs memory a hundred times its text.",
            "Divide it into documents, or let a UserAppSet read its rows from a CSV or JSON Lines file.",
        ),
        "yaml-number-too-large": Finding(
            "JSON, which carries it to Fly, cannot hold it exactly.",
            "Put it in quotes if it is text; otherwise correct it.",
        ),
        "yaml-two-documents": Finding(
            "Where a document ends must be plain from its text.", "Begin each document with a line of ---."
        ),
        # Documents
        "not-a-document": Finding(
            "A document says whose it is in its envelope.",
            "Write a mapping with apiVersion, kind, metadata and spec.",
        ),
        "unknown-kind": Finding("Only the kinds of this program are read.", "Correct the kind."),
        "document-twice": Finding(
            "Two documents of one kind and name contradict each other, so neither holds.",
            "Rename or remove one of them.",
        ),
        "only-one-allowed": Finding(
            "A fleet has one Fleet and at most one Router; of two, nobody knows which is meant.",
            "Keep one of them.",
        ),
        "no-fleet": Finding(
            "The Fleet says in which organisation the apps are and which of them are ours.",
            "Add a Fleet document; `reconciler init` writes one.",
        ),
        "unknown-reference": Finding(
            "The document needs another one that is not there.",
            "Correct the name, or add the document.",
        ),
        # Fields
        "unknown-field": Finding(
            "A field that nobody knows would be passed over in silence, and what was meant by it too.",
            "Correct its name; a new field of the Machines API goes through when allow_unknown names it.",
        ),
        "bad-field-path": Finding(
            "allow_unknown lets single fields through, each by its path.",
            "Give the path from the config, or from the service in a Service, such as ports[].new_field.",
        ),
        "known-field-allowed": Finding(
            "A known field is checked, and allow_unknown would take that check away.", "Remove the entry."
        ),
        "missing-field": Finding("Nothing sensible can be filled in for it.", "Add the field."),
        "empty": Finding(
            "A key without a value says nothing, and YAML makes one of a forgotten line.",
            "Give a value, or remove the key.",
        ),
        "wrong-type": Finding(
            "Nothing is guessed: text that looks like a number may be a name, and the other way round.",
            "Give what is expected; quotes make text.",
        ),
        "bad-value": Finding("The field cannot hold this value.", "Give a value such as the message says."),
        "bad-choice": Finding("Only the values listed mean something.", "Use one of the values listed."),
        "out-of-range": Finding("Fly, or this program, takes no such number.", "Stay within the range."),
        "too-long": Finding("Fly takes no name of that length.", "Shorten it."),
        "repeated-value": Finding("Twice says no more than once, and is often a slip.", "Keep one of them."),
        "repeated-name": Finding(
            "Things are told apart by their names.", "Give each of them a name of its own."
        ),
        "fields-exclude-each-other": Finding("Each says the same thing otherwise.", "Keep one of them."),
        "fields-need-each-other": Finding("One means nothing without the other.", "Give both or neither."),
        "exactly-one-of": Finding(
            "None leaves the thing without a source, and two contradict each other.", "Give exactly one."
        ),
        "bad-name": Finding(
            "Names become parts of hosts and of Fly's names, which allow few characters.",
            "Use small letters, digits and dashes, a letter or digit first and last.",
        ),
        "bad-variable-name": Finding(
            "Programs cannot read an environment variable of that name.",
            "Use letters, digits and _, no digit first.",
        ),
        "bad-installation": Finding(
            "The installation becomes part of network names and of label secrets on Fly.",
            "Keep the one that `reconciler init` minted.",
        ),
        "bad-app-name": Finding(
            "Fly refuses such an app name.",
            "Use small letters, digits and dashes, a letter first, no dash last, at most 62 characters.",
        ),
        "bad-app-name-pattern": Finding(
            "Every user app's name on Fly is made by this pattern.",
            'Write one such as "acme-{name}", short enough for the longest name.',
        ),
        "bad-volume-name": Finding(
            "Fly refuses such a volume name.", "Use small letters, digits and _, at most 30 characters."
        ),
        "bad-path": Finding("Fly refuses such a path.", "Give an absolute path, and not / for a volume."),
        "bad-host": Finding(
            "A visitor's Host header could never be equal to it.",
            "Write the host alone, in small letters, without port, path or last dot.",
        ),
        "bad-address": Finding(
            "The router cannot listen there.", 'Write "ADDRESS:PORT", e.g. "0.0.0.0:8080".'
        ),
        "bad-duration": Finding(
            "Durations are Go's text; a bare number is nanoseconds.", 'Write text such as "15s" or "1m30s".'
        ),
        "bad-moment": Finding(
            "A moment without its time zone is another one elsewhere.",
            "Write date, time and zone: 2027-01-31T18:00:00Z.",
        ),
        "bad-max-unavailable": Finding(
            "It is how many machines may be away at once.", "Give a part such as 0.33, or a count."
        ),
        "limit-without-number": Finding(
            "A limit without a number limits nothing.", "Give max_count or max_percent."
        ),
        "unknown-region": Finding(
            "Fly refuses a region that it does not have, and an alias cannot hold a volume.",
            "Use one of the codes listed.",
        ),
        # User apps
        "app-name-too-long": Finding(
            "Fly refuses app names of 63 characters and more.", "Shorten the name or the fleet's pattern."
        ),
        "app-name-taken-twice": Finding(
            "Two documents on one Fly app would undo each other's changes, so both keep what they had.",
            "Give one of them another app_name, or none.",
        ),
        "app-name-of-router": Finding("The user app would be the router's own app.", "Choose another name."),
        "reserved-name": Finding(
            "The Router keeps this label for the platform.", "Choose another name or host."
        ),
        "host-outside-domains": Finding(
            "The router answers only for its own domains.",
            "Use a host below one of them, or add the domain to the Router.",
        ),
        "host-taken-twice": Finding(
            "Nobody can say whose visitor it would be, so both user apps keep what they had.",
            "Leave the host to one of them.",
        ),
        "host-of-fly": Finding(
            "Such a name leads to one app past the Router, and its machine could not tell who comes.",
            "Use a host below a domain of your own, whose certificate the router's app holds.",
        ),
        "public-address": Finding(
            "An app with a public address exposes every service it has, and nothing checks who comes.",
            "Remove it; the Router's app has the public address, and replays lead on to user apps.",
        ),
        "strategy-not-offered": Finding(
            "Canary and blue-green put further machines beside those of an app, which volumes forbid.",
            "Use rolling, which changes one machine first, or immediate.",
        ),
        "no-image": Finding(
            "Fly starts nothing without an image.", "Name one in the Machine's config or in the user's."
        ),
        # Machines and services
        "mount-in-template": Finding(
            "A volume belongs to one machine; a template's would be every machine's.",
            "Describe it in UserApp spec.machines[].mount.",
        ),
        "reserved-metadata": Finding(
            "Metadata that begins with reconciler_ is how machines are recognised as ours.",
            "Use another key.",
        ),
        "replay-key-in-env": Finding(
            "It would hide the app secret with which the machine checks where requests come from.",
            "Remove the variable.",
        ),
        "stop-timeout-too-long": Finding("Fly kills a machine after 5 minutes.", "Give at most 5m."),
        "bad-port-range": Finding(
            "Fly wants one port or one range.", "Give port, or start_port and end_port in order."
        ),
        "port-taken-twice": Finding(
            "A public port of a machine leads to one service.", "Move one of them to another port."
        ),
        "handler-missing": Finding(
            "The option works on HTTP, which the proxy reads only with the http handler.",
            "Add http to the handlers.",
        ),
        "unknown-size": Finding(
            "Fly refuses a size that it does not have.",
            "Use one of those listed, or better guest, which replaces size.",
        ),
        "guest-cpus": Finding(
            "Fly has machines with these numbers of CPUs only, and refuses others.",
            "Use one of those listed.",
        ),
        "guest-memory": Finding(
            "How much memory a machine may have goes by its CPUs; Fly refuses other amounts.",
            "Stay within the range and its steps, or change cpus.",
        ),
        "cannot-suspend": Finding(
            "Fly stops such a machine instead, and the next visitor waits for a cold start.",
            "Remove what stands against it, or say autostop: stop.",
        ),
        "bad-base64": Finding(
            "Fly writes the decoded bytes into the file, and refuses what cannot be decoded.",
            "Give what `base64 FILE` prints.",
        ),
        "autostop-without-autostart": Finding(
            "Nobody wakes such a machine but the reconciler, and Fly stops it again soon after.",
            "Say autostop: off beside autostart: false, or leave autostart out.",
        ),
        "replay-needs-http": Finding(
            "A replay keeps the visitor's port and carries only HTTP, so the visitor would see an empty 502.",
            "Give the port handlers: [http], or [tls, http] for 443.",
        ),
        "raw-port": Finding(
            "User apps have no public address, and giving them one would expose every service of theirs.",
            "Offer HTTP, or take the port away; machines of one app reach each other without services.",
        ),
        "replay-cache-of-user": Finding(
            "It is about replays that this machine answers with; the Router's are never cached.",
            "Remove replay_cache.",
        ),
        "image-without-digest": Finding(
            "A tag can be moved: two machines of one version would run different programs.",
            "Pin the image by its digest: name@sha256:….",
        ),
        "predictable-app-name": Finding(
            "App names are global on Fly: whoever guesses one can take it before your user signs up.",
            "Put an unguessable part into the pattern before there are users; a changed one moves nobody.",
        ),
        # Rows of a UserAppSet
        "bad-template": Finding(
            "What stands in braces is a column of the table, and only values can hold one.",
            "Name a column that is there, or write {{ and }} for plain braces.",
        ),
        "bad-digest": Finding(
            "A SHA-256 is 64 digits of 0-9 and a-f.", "Copy what `sha256sum FILE` prints first."
        ),
        "set-refused": Finding(
            "The file is not the one that the document declares, so half of it may be missing.",
            "Bring the whole file, or declare the count or sha256 that it has now.",
        ),
        "table-header": Finding(
            "Without the names of the columns no cell means anything.",
            "Write each column's name once in the first line.",
        ),
        "table-row": Finding(
            "Such a line may have been anybody's row, so no user app counts as gone while it is there.",
            "Mend the line: balanced quotes in CSV, one JSON object in JSON lines.",
        ),
        "table-cut": Finding(
            "A file that ends in the middle of a line may have been cut, and its last value with it.",
            "End the file with a line break, or declare count or sha256.",
        ),
        "table-empty": Finding(
            "A table without rows is most often a broken export, so nothing is deleted for it.",
            "Bring the rows back, or declare count: 0.",
        ),
        "row-cells": Finding(
            "With a cell too few or too many nobody knows which is which.", "Give the row all of its cells."
        ),
        "row-character": Finding(
            "Control characters can forge lines, and no name, region or setting needs one.",
            "Remove the character; it may be a line break inside quotes.",
        ),
        "more-problems": Finding(
            "After a thousand lines the next ones help nobody.", "Mend those that are shown first."
        ),
        "set-shrunk": Finding(
            "More rows vanished at once than may be deleted within an hour, as a broken export would show.",
            "Bring the rows back; if they are meant to go, approve that or raise the delete budget.",
        ),
        # Secrets
        "secret-not-offered": Finding(
            "A document may read only what the process was told to offer.",
            "Rename the variable to begin with the prefix.",
        ),
        "secret-path": Finding(
            "A document may read only files of the secrets folder.", "Give a relative path without ..."
        ),
        "secret-ciphertext": Finding(
            "Only armored age ciphertext for recipients can be opened by the program.",
            "Write the document with `reconciler secret encrypt`.",
        ),
        "reserved-secret-name": Finding(
            "These names carry the reconciler's own keys and labels.", "Choose another name."
        ),
        # The router
        "listener-on-every-address": Finding(
            "Machines next door on the private network could read the replay header, which carries proof.",
            'Bind "0.0.0.0:PORT" or one address.',
        ),
        "address-taken-twice": Finding("Only one listener can have an address.", "Change one of the ports."),
        "private-beside-public": Finding(
            "A public address exposes every service of an app, the private one too.",
            "Deploy the private listener as an app of its own.",
        ),
        "bad-replay-timeout": Finding(
            "Fly reads only whole seconds and milliseconds, and a proof must outlive the wait.",
            'Write 100ms to 60s, e.g. "15s", or none.',
        ),
        "cache-not-offered": Finding(
            "A cached replay reaches the machine without proof, and goes on to an app that is gone.",
            "Remove cache; the router is asked for every request, and answers from memory.",
        ),
        "region-after-any": Finding('Fly never looks further than "any".', 'Put "any" last.'),
    }
)
