"""Where the key store and the ledger of fences of a server are."""

import logging
from pathlib import Path

from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.storage.keys.database import KeyDatabase, KeyStoreAddress
from eventfold_server.storage.keys.ledger import FenceLedger
from eventfold_server.storage.keys.ledger_file import FileLedger
from eventfold_server.storage.keys.ledger_table import TableLedger

log = logging.getLogger(__name__)

LEDGER_FILE = "fences"
_FILE = "file:"


def key_store_address(config: ServerConfig, dsn: str) -> KeyStoreAddress:
    """Where keys are: in a database of their own, or beside the log in a schema of their own.

    `dsn`: of the log's database, past any pooler.
    """
    return KeyStoreAddress(
        config.key_store_url or dsn, f"{config.schema}_keys", config.unsafe_durability
    )


def ledger_of(config: ServerConfig, dsn: str) -> FenceLedger:
    """The ledger of fences; nothing is opened yet. Raises ConfigError."""
    told = config.fence_ledger
    if told is not None and told.startswith(_FILE):
        path = told.removeprefix(_FILE)
        if not path:
            raise ConfigError("--fence-ledger takes file:PATH, or the URL of a PostgreSQL")
        return FileLedger(Path(path).absolute())
    if told is None and config.data_dir is not None:
        return FileLedger(config.data_dir.absolute() / LEDGER_FILE)
    if told is not None and "://" not in told:
        raise ConfigError("--fence-ledger takes file:PATH, or the URL of a PostgreSQL")
    if told is None:
        log.warning(
            "the ledger of fences stands in the log's own database: a backup of that takes it back "
            "together with the log. Say --fence-ledger to keep it apart"
        )
    return TableLedger(
        KeyStoreAddress(told or dsn, f"{config.schema}_fences", config.unsafe_durability)
    )


async def stray_keys(address: KeyStoreAddress) -> list[str]:
    """Master keys that wrap something in a key store, for a server that has none. Nothing is made
    where there is no key store.
    """
    database = KeyDatabase(address)
    if not await database.exists():
        return []
    await database.open()
    try:
        return [row["master_key"] for row in await database.rows("master_keys")]
    finally:
        await database.close()
