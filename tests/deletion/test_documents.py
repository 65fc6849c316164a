"""Ways in which documents and rows stop saying whom there should be, without anybody meaning to delete."""

import asyncio
from pathlib import Path

import pytest

from reconciler.core.spec import Unreadable
from tests.deletion.scene import (
    FLEET_YAML,
    HOUR_S,
    NAMES,
    Scene,
    Way,
    documents,
    ground,
    served,
    stays,
    stays_after_a_restart,
)
from tests.stage import MACHINE, user

SET = """
apiVersion: reconciler/v1alpha1
kind: UserAppSet
metadata: {name: everybody}
spec:
  source: {SOURCE}
  template:
    spec:
      regions: ["{region}"]
      machines: [{name: web, template: studio, mount: {name: data, path: /data, size_gb: 1}}]
      secrets: [OPENAI_API_KEY]
"""
CSV = "name,region\nbob,iad\ncarol,iad\ndave,iad\nalice,iad\n"
JSONL = "".join(f'{{"name": "{name}", "region": "iad"}}\n' for name in ("bob", "carol", "dave", "alice"))
SLIM = SET.replace(", mount: {name: data, path: /data, size_gb: 1}", "")  # nothing to approve but the number
TIGHT = FLEET_YAML.replace("max_count: 60", "max_count: 2")


async def fleet_broken(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.replace("org: acme", "org: 7"))


async def fleet_doubled(at: Scene) -> None:
    at.save(other=FLEET_YAML.partition("---")[0].replace("name: acme", "name: other"))


async def fleet_gone(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.partition("---")[2])


async def fleet_document_gone_and_users(at: Scene) -> None:
    at.save(fleet=None, users__alice=None)


async def installation_changed(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.replace("teststage", "otherstage"), users__alice=None)


async def org_changed(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.replace("org: acme", "org: rivals"), users__alice=None)


async def pattern_changed(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.replace("acme-{name}", "zenith-{name}"), users__alice=None)


async def router_broken(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.replace("domains: [example.com]", "domains: [7]"))


async def router_gone(at: Scene) -> None:
    at.save(fleet="---".join(part for part in FLEET_YAML.split("---") if "kind: Router" not in part))


async def machine_broken(at: Scene) -> None:
    at.save(machine=MACHINE.replace("image:", "imgae:"))


async def machine_gone(at: Scene) -> None:
    at.save(machine=None)


async def secret_gone(at: Scene) -> None:
    at.save(fleet=FLEET_YAML.rpartition("---")[0])


async def user_broken(at: Scene) -> None:
    at.save(users__alice=user("alice").replace("template", "tempalte"))


async def user_of_no_kind(at: Scene) -> None:
    at.save(users__alice=user("alice").replace("UserApp", "UserAp"))


async def user_of_another_version(at: Scene) -> None:
    at.save(users__alice=user("alice").replace("v1alpha1", "v9"))


async def user_without_a_name(at: Scene) -> None:
    at.save(users__alice=user("alice").replace("metadata: {name: alice}", "metadata: {labels: {a: b}}"))


async def user_commented_into_half(at: Scene) -> None:
    at.save(users__alice=user("alice").replace("kind: UserApp\n", "# kind: UserApp\n"))


async def user_twice(at: Scene) -> None:
    at.save(more=user("alice"))


async def user_and_row(at: Scene) -> None:
    at.save(more=SET.replace("SOURCE", "rows: [{name: alice, region: iad}]"))


async def host_taken_twice(at: Scene) -> None:
    at.save(users__bob=user("bob").replace("bob.example.com", "alice.example.com"))


async def app_taken_twice(at: Scene) -> None:
    at.save(users__bob=user("bob").replace("spec:", "spec:\n  app_name: acme-alice"))


async def renamed_with_its_app(at: Scene) -> None:
    """The document is called alicia now, and says that her app is the one that alice had."""
    text = user("alice").replace("{name: alice}", "{name: alicia}")
    at.save(users__alice=None, users__alicia=text.replace("spec:", "spec:\n  app_name: acme-alice"))


async def renamed_with_its_app_and_broken(at: Scene) -> None:
    text = user("alice").replace("{name: alice}", "{name: alicia}").replace("template", "tempalte")
    at.save(users__alice=None, users__alicia=text.replace("spec:", "spec:\n  app_name: acme-alice"))


async def adopted_by_another(at: Scene) -> None:
    """As before, and the label says that the app was taken over."""
    names = {"values": {"RECONCILER_OWNER_TESTSTAGE": "alicia"}}
    await at.on.by_hand("POST", "/apps/acme-alice/secrets", names)
    await renamed_with_its_app(at)


async def unreadable_beside(at: Scene) -> None:
    at.save(users__alice=None, torn=Unreadable("permission denied"))


async def unreadable_later(at: Scene) -> None:
    at.save(users__alice=None)
    at.save(torn=Unreadable("input/output error"))


async def fleet_broken_later(at: Scene) -> None:
    at.save(users__alice=None)
    at.save(fleet="")


async def fleet_paused(at: Scene) -> None:
    pause = "paused: {until: 2099-01-01T00:00:00Z, reason: we move}"
    at.save(users__alice=None, fleet=FLEET_YAML.replace("drift: correct,", f"drift: correct, {pause},"))


WAYS = [
    Way("fleet-broken", "The Fleet document does not hold.", fleet_broken),
    Way("fleet-doubled", "There are two Fleet documents.", fleet_doubled),
    Way("fleet-gone", "There is no Fleet document.", fleet_gone),
    Way("fleet-and-user-gone", "Neither is there.", fleet_document_gone_and_users),
    Way("installation-changed", "Another installation's documents are in place.", installation_changed),
    Way("org-changed", "Another organisation's documents are in place.", org_changed),
    Way("pattern-changed", "Apps should be called otherwise.", pattern_changed),
    Way("router-broken", "Without its Router nobody is wanted.", router_broken),
    Way("router-gone", "The Router document is not there.", router_gone),
    Way("template-broken", "What all users are made of does not hold.", machine_broken, "DocumentBroken"),
    Way("template-gone", "What all users are made of is not there.", machine_gone, "DocumentBroken"),
    Way("secret-gone", "A secret that all users have is not there.", secret_gone, "DocumentBroken"),
    Way("user-broken", "Her document does not hold.", user_broken, "DocumentBroken"),
    Way("user-of-no-kind", "Its kind is mistyped.", user_of_no_kind, "DocumentBroken"),
    Way("user-of-another-version", "It is of a later version.", user_of_another_version, "DocumentBroken"),
    Way("user-without-a-name", "It has lost its name.", user_without_a_name, "DocumentBroken"),
    Way("user-without-a-kind", "Its kind is commented out.", user_commented_into_half, "DocumentBroken"),
    Way("user-twice", "Two documents have her name.", user_twice, "DocumentBroken"),
    Way("user-and-row", "A document and a row have her name.", user_and_row, "DocumentBroken"),
    Way("host-twice", "Somebody else wants her host.", host_taken_twice, "DocumentBroken"),
    Way("app-twice", "Somebody else's document names her app.", app_taken_twice, "DocumentBroken"),
    Way("renamed", "Her app is another document's now.", renamed_with_its_app, "Claimed"),
    Way("renamed-and-broken", "That document does not hold.", renamed_with_its_app_and_broken, "Claimed"),
    Way("renamed-and-adopted", "That document took her app over.", adopted_by_another, "Claimed"),
    Way("unreadable-beside", "Another file cannot be read.", unreadable_beside, "DocumentBroken"),
    Way("unreadable-later", "Another file cannot be read some time later.", unreadable_later),
    Way("fleet-broken-later", "The Fleet document is emptied later.", fleet_broken_later, "Grace"),
    Way("fleet-paused", "Git says that nothing is to change.", fleet_paused, "Paused"),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_nobody_is_deleted_when(way: Way) -> None:
    """Documents that are broken, doubled or moved delete nobody, before a restart and after."""
    async with ground() as on:
        async with served(on) as at:
            before = at.lives
            await stays(at, way, for_s=HOUR_S / 2)
            assert way.proof == "Claimed" or all(at.route(name) for name in NAMES)
        await stays_after_a_restart(on, before, way, for_s=HOUR_S / 2)


async def csv_cut_in_a_row(at: Scene) -> None:
    at.write("users.csv", CSV[: CSV.index("alice") + 3])


async def csv_cut_in_the_last_cell(at: Scene) -> None:
    at.write("users.csv", CSV[: CSV.index("dave") + 6])


async def csv_cut_after_a_row(at: Scene) -> None:
    at.write("users.csv", CSV[: CSV.index("dave") - 1])


async def csv_cut_beyond_the_budget(at: Scene) -> None:
    at.write("users.csv", CSV[: CSV.index("carol")])


async def csv_empty(at: Scene) -> None:
    at.write("users.csv", "")


async def csv_of_a_header(at: Scene) -> None:
    at.write("users.csv", "name,region\n")


async def csv_of_a_broken_header(at: Scene) -> None:
    at.write("users.csv", CSV.replace("name,region", "nome,region"))


async def csv_without_its_header(at: Scene) -> None:
    at.write("users.csv", CSV.partition("\n")[2])


async def csv_gone(at: Scene) -> None:
    at.path("users.csv").unlink()


async def csv_is_a_folder(at: Scene) -> None:
    at.path("users.csv").unlink()
    at.path("users.csv").mkdir()


async def csv_dangles(at: Scene) -> None:
    at.path("users.csv").unlink()
    at.path("users.csv").symlink_to("nowhere.csv")


async def csv_is_not_text(at: Scene) -> None:
    at.write("users.csv", CSV.encode("utf-16"))


async def csv_is_a_web_page(at: Scene) -> None:
    at.write("users.csv", "<!doctype html>\n<title>502 Bad Gateway</title>\n")


async def csv_of_other_people(at: Scene) -> None:
    at.write("users.csv", "name,region\nmallory,iad\n")


async def csv_with_a_conflict(at: Scene) -> None:
    at.write("users.csv", CSV.replace("alice,iad\n", "<<<<<<< HEAD\n=======\nalice,iad\n>>>>>>> other\n"))


async def csv_with_a_row_twice(at: Scene) -> None:
    at.write("users.csv", CSV + "alice,iad\n")


async def csv_quoted_to_the_end(at: Scene) -> None:
    at.write("users.csv", CSV.replace("dave,iad", '"dave,iad'))


async def csv_of_another_digest(at: Scene) -> None:
    at.write("users.csv", CSV.replace("alice,iad\n", ""))
    text = SET.replace("SOURCE", "csv: users.csv, sha256: " + "0" * 64)
    at.write("set.yaml", text)


async def set_broken(at: Scene) -> None:
    at.write("set.yaml", SET.replace("SOURCE", "csv: users.csv, rows: []"))


async def set_template_broken(at: Scene) -> None:
    at.write("set.yaml", SET.replace("SOURCE", "csv: users.csv, count: 4").replace("{region}", "{regoin}"))


async def jsonl_cut_in_a_line(at: Scene) -> None:
    at.write("set.yaml", SET.replace("SOURCE", "jsonl: users.jsonl"))
    at.write("users.jsonl", JSONL[: JSONL.index("alice") + 3])


async def jsonl_empty(at: Scene) -> None:
    at.write("set.yaml", SET.replace("SOURCE", "jsonl: users.jsonl"))
    at.write("users.jsonl", "\n")


async def rows_empty(at: Scene) -> None:
    at.write("set.yaml", SLIM.replace("SOURCE", "rows: []"))


ROWS = [
    Way("csv-cut-in-a-row", "The file ends within her row.", csv_cut_in_a_row, "DocumentBroken"),
    Way("csv-cut-in-a-cell", "The file ends within a last cell.", csv_cut_in_the_last_cell, "DocumentBroken"),
    Way("csv-cut-with-count", "The file ends between two rows.", csv_cut_after_a_row, "DocumentBroken"),
    Way("csv-empty", "The file is empty.", csv_empty, "DocumentBroken"),
    Way("csv-header-only", "The file has a header alone.", csv_of_a_header, "DocumentBroken"),
    Way("csv-header-changed", "The column of names is called otherwise.", csv_of_a_broken_header),
    Way("csv-headless", "The first row is taken for the header.", csv_without_its_header),
    Way("csv-gone", "The file is not there.", csv_gone, "DocumentBroken"),
    Way("csv-is-a-folder", "A folder is in its place.", csv_is_a_folder, "DocumentBroken"),
    Way("csv-dangles", "The file is a link that leads nowhere.", csv_dangles, "DocumentBroken"),
    Way("csv-is-not-text", "The file is not UTF-8.", csv_is_not_text, "DocumentBroken"),
    Way("csv-is-a-web-page", "What wrote it got an error page.", csv_is_a_web_page, "DocumentBroken"),
    Way("csv-of-others", "It is the list of other people.", csv_of_other_people, "DocumentBroken"),
    Way("csv-conflict", "It has the marks of a conflict.", csv_with_a_conflict),
    Way("csv-row-twice", "She stands there twice.", csv_with_a_row_twice, "DocumentBroken"),
    Way("csv-open-quote", "A quote never closes.", csv_quoted_to_the_end),
    Way("csv-other-digest", "It is not the file that was meant.", csv_of_another_digest, "DocumentBroken"),
    Way("set-broken", "The set's document does not hold.", set_broken, "DocumentBroken"),
    Way("set-template-broken", "Its template names no column.", set_template_broken, "DocumentBroken"),
    Way("jsonl-half-a-line", "The file ends within her line.", jsonl_cut_in_a_line, "DocumentBroken"),
    Way("jsonl-empty", "The file has no line.", jsonl_empty, "DocumentBroken"),
]


@pytest.mark.parametrize("way", ROWS, ids=str)
async def test_no_row_is_deleted_when(way: Way, tmp_path: Path) -> None:
    """A table that is cut, emptied or another one says nothing about who is gone."""
    files = {**documents(), "set.yaml": SET.replace("SOURCE", "csv: users.csv, count: 4"), "users.csv": CSV}
    async with ground(files, folder=tmp_path) as on:
        async with served(on) as at:
            before = at.lives
            await stays(at, way, for_s=HOUR_S / 2)
            assert all(at.route(name) for name in NAMES)
        await stays_after_a_restart(on, before, way, for_s=HOUR_S / 2)


UNCOUNTED = [
    Way(
        "csv-shrunk",
        "More rows are gone than may be in an hour.",
        csv_cut_beyond_the_budget,
        "DocumentBroken",
    ),
    Way("csv-shrunk-to-a-header", "All rows are gone.", csv_of_a_header, "DocumentBroken"),
    Way("csv-shrunk-to-others", "All rows are other people's.", csv_of_other_people, "DocumentBroken"),
    Way("rows-empty", "There is no row in the document.", rows_empty, "DocumentBroken"),
]


@pytest.mark.parametrize("way", UNCOUNTED, ids=str)
async def test_no_row_of_an_uncounted_table_is_deleted_when(way: Way, tmp_path: Path) -> None:
    """Without a declared count, the budget for deletions tells what is too much to be meant."""
    files = {
        **documents(),
        "fleet.yaml": TIGHT,
        "set.yaml": SLIM.replace("SOURCE", "csv: users.csv"),
        "users.csv": CSV,
    }
    async with ground(files, folder=tmp_path, approves=False) as on:
        async with served(on) as at:
            before = at.lives
            await asyncio.sleep(HOUR_S)
            await stays(at, way, for_s=HOUR_S / 2)
        await stays_after_a_restart(on, before, way, for_s=HOUR_S / 2)
