"""Means for tests of code that uses eventfold.

Without a server, `given(events, fold=...).when(decide).then(events)` checks a decision.

With a server, the fixtures of the pytest plugin that comes with the distribution (the extra
`server` has to be installed):

* `store`: a connected `eventfold.Client` on an empty store of its own, dropped after the test.
* `eventfold_target`: the address of such a store, for an `AsyncClient` or another process.
* `eventfold_server`: a `StoreHost`, once a session, which both use. It runs an embedded
  PostgreSQL; the environment variable `EVENTFOLD_TEST_DATABASE_URL` names another one to use.
"""

from eventfold.testing._host_process import StoreHost, StoreHostError
from eventfold.testing._scenario import Given, Outcome, given

__all__ = ["Given", "Outcome", "StoreHost", "StoreHostError", "given"]
