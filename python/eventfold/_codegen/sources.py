"""Where schemas come from: a server, or a folder of files."""

from pathlib import Path

from eventfold._codegen.bundle import Document
from eventfold._codegen.errors import GenerateFailed
from eventfold._sync.client import Client

_OF_A_TYPE = ".schema.json"


def of_store(store: Client) -> list[Document]:
    """The schemas in force on a server, each with the documents that it refers to as they were
    when it was put, and with what was said of its event type.
    """
    said = {one.name: one.description for one in store.list_event_types()}
    found = []
    for one in store.list_schemas():
        if (name := one.event_type) is None:
            continue
        resources = one.resources
        if one.refers_to:
            resources = store.get_schema(name, revision=one.revision).resources
        found.append(Document(name, one.source, name, said.get(name, ""), resources))
    return found


def of_folder(folder: Path) -> list[Document]:
    """The schemas of a folder: `TYPE.schema.json` is that of an event type; every other `.json`
    is shared, and has an `$id`.

    Raises:
        GenerateFailed: there is none, or one is not UTF-8.
        OSError: it cannot be read.
    """
    found = []
    for file in sorted(folder.iterdir()):
        if file.suffix != ".json":
            continue
        try:
            source = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise GenerateFailed(f"this is not UTF-8: {error}", schema=file.name) from None
        is_of_type = file.name.endswith(_OF_A_TYPE)
        name = file.name.removesuffix(_OF_A_TYPE) if is_of_type else None
        found.append(Document(name, source, file.name))
    if not any(one.event_type for one in found):
        raise GenerateFailed(f"no file of the folder is called TYPE{_OF_A_TYPE}")
    return found
