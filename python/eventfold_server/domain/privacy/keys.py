"""All that personal values need in a server: the key store, keys in memory, the lease to use them,
and the fences.
"""

from uuid import UUID

from eventfold import _core
from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.domain.privacy.administration import KeyParts
from eventfold_server.domain.privacy.fences import Fences
from eventfold_server.domain.privacy.leases import Leases
from eventfold_server.limits import KEYRING_SUBJECTS_MAX
from eventfold_server.storage.database import Database
from eventfold_server.storage.keys.database import KeyStoreAddress
from eventfold_server.storage.keys.loading import KeyLoader
from eventfold_server.storage.keys.places import key_store_address, ledger_of, stray_keys
from eventfold_server.storage.keys.providers.choosing import choose_provider
from eventfold_server.storage.keys.store import KeyStore
from eventfold_server.storage.privacy_leases import PrivacyLeaseStorage


class PersonalKeys:
    """The keys of one store, in one server process."""

    def __init__(self, config: ServerConfig, database: Database) -> None:
        """Nothing is opened yet; `database` is that of the log. Raises ConfigError."""
        dsn = database.direct_dsn
        self._storage = PrivacyLeaseStorage(database)
        self._address: KeyStoreAddress = key_store_address(config, dsn)
        provider = choose_provider(config)
        self.backup_horizon_days = config.backup_horizon_days
        self.parts: KeyParts | None = None
        self.keyring: _core.Keyring | None = None
        self.loader: KeyLoader | None = None
        if provider is None:
            return
        store = KeyStore(self._address, provider)
        self.keyring = _core.Keyring(KEYRING_SUBJECTS_MAX)
        self.loader = KeyLoader(store, self.keyring)
        self.parts = KeyParts(
            store,
            Fences(ledger_of(config, dsn), store, self._storage),
            Leases(self._storage, self.keyring, store.saw),
            self._storage,
        )

    async def open(self) -> None:
        """Opens all of it: fences are in force before the first key is given away.

        Raises StorageRefused, ConfigError if a master key is missing that the key store needs, and
        Refusal (KEYS_UNAVAILABLE).
        """
        if self.parts is None or self.keyring is None or self.loader is None:
            if names := await stray_keys(self._address):
                raise ConfigError(
                    f"the key store has keys that {', '.join(names)} wraps, and the server was "
                    "given no master key: say --master-key-file, --master-key or "
                    "EVENTFOLD_MASTER_KEY"
                )
            return
        store_id: UUID = await self._storage.store_id()
        await self.parts.store.open(store_id)
        await self.parts.fences.start()
        self.keyring.bind(store_id.bytes)
        self.loader.start()
        await self.parts.leases.start()

    async def follow(self, catalogue_version: int) -> None:
        """Returns when the keys of all who were fenced up to a version are out of memory."""
        if self.parts is not None:
            await self.parts.leases.follow(catalogue_version)

    def may_leave(self, epoch: int) -> bool:
        """Whether what was opened in an epoch of the keyring may leave this process."""
        return self.keyring is not None and self.keyring.may_leave(epoch)

    async def close(self) -> None:
        """Uses no key any more, and closes all of it."""
        if self.parts is None or self.loader is None:
            return
        await self.parts.leases.stop()
        await self.loader.stop()
        await self.parts.fences.close()
        await self.parts.store.close()
