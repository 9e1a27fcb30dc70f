"""A ledger of fences in a table of a PostgreSQL, for servers of several machines."""

from eventfold_server.storage.keys.database import KeyDatabase, KeyStoreAddress
from eventfold_server.storage.keys.ledger import FenceLedger
from eventfold_server.storage.queries import FENCE_LEDGER_FILES


class TableLedger(FenceLedger):
    """Lines of a table, which refuses every change but a new one."""

    def __init__(self, address: KeyStoreAddress) -> None:
        """Nothing is opened yet."""
        super().__init__()
        self._address = address
        self._database = KeyDatabase(address, FENCE_LEDGER_FILES, "fence_ledger")

    @property
    def where(self) -> str:
        """See `FenceLedger`. The URL may hold a password."""
        return f"in the schema {self._address.schema}"

    async def close(self) -> None:
        """See `FenceLedger`."""
        await self._database.close()

    async def _open(self) -> list[bytes]:
        await self._database.open()
        return await self._lines(0)

    async def _lines(self, after: int) -> list[bytes]:
        return [row["line"] for row in await self._database.rows("ledger_lines", after)]

    async def _append(self, number: int, line: bytes) -> bool:
        return await self._database.row("append_to_ledger", number, line) is not None
