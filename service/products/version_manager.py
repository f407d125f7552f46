"""Decides which version of each product is served, by the folder and by what operators said, and switches to it.

A product's pinned version is served, else its highest. What is refused is remembered with its reason and tried again
when its files change; whatever was active stays so. All methods run on one thread, the registry's; `active`, `behind`,
`names`, `statuses` and `trouble` may be called from any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from service.errors import ArtifactRefused, NotReady, ProductNotFound, ServiceError
from service.logs import event
from service.metrics import Metrics
from service.products.agreement import Agreed, Agreement
from service.products.artifact_folder import PLAIN, ArtifactFolder, RefusedError
from service.products.head_cache import HeadCache
from service.products.pins import Pins, PinState
from service.products.preparation import Preparation
from service.products.product import ProductStatus, ProductVersion, VersionKey
from service.products.product_record import ProductRecord

NOT_IN_ALL_PROCESSES = (
    "a plain NAME goes back to what is in memory, which only the process that was asked would do: put the files back, "
    "or use NAME/VERSION"
)
ROLLED_BACK_IN_MEMORY = (
    "rolled back to what is in memory: a restart serves what lies in the folder; put the old files back before it"
)


class VersionManager:
    """See the module."""

    def __init__(
        self,
        folder: ArtifactFolder,
        head_cache: HeadCache,
        pins: Pins,
        agreement: Agreement,
        preparation: Preparation,
        metrics: Metrics,
        *,
        grace_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._head_cache = head_cache
        self._pins = pins
        self._agreement = agreement
        self._preparation = preparation
        self._metrics = metrics
        self._grace_s = grace_s
        self._clock = clock
        self._records: dict[str, ProductRecord] = {}  # replaced, never changed, as other threads walk over it

    def look(self) -> None:
        """Take over what has changed in the folder and the state file. One product's trouble is not another's."""
        found = self._folder.look()
        try:  # after the folder, as it may lie in it: no version is chosen without the pins that came with it
            self._pins.read()
        except (OSError, ValueError) as error:  # what was decided before stands
            event("state file not read", logging.ERROR, error=str(error))
        kept = [name for name in self._records if not self._pins.of(name).unloaded]
        self._records = {name: self._records.get(name) or ProductRecord(name) for name in sorted({*found, *kept})}
        for name, record in list(self._records.items()):
            try:
                record.seen(found.get(name, {}))
                self._settle(record)
            except Exception as error:
                event("product not settled", logging.ERROR, product=name, reason=f"{type(error).__name__}: {error}")

    def load(self, product: str, version: str | None) -> ProductStatus:
        record = self._fresh(product)
        if version is not None:
            record.standby = self._head_cache.put(self._bring_or_refuse(record, record.folder(version)))
        record.refused.clear()
        record.put_off.clear()
        record.note = None
        self._decide(product, lambda old: old.model_copy(update={"unloaded": False}))
        self._settle(record)
        if version is None and (reason := self._reason_against_first(record)) is not None:
            raise ArtifactRefused(reason)
        return self.status(product)

    def activate(self, product: str, version: str) -> ProductStatus:
        record = self._fresh(product)
        folder = record.folder(version)
        loaded = self._bring_or_refuse(record, folder)
        record.note = None
        self._decide(product, lambda _: _pinned(folder, record.active))
        self._take(record, loaded.key, loaded)
        return self.status(product)

    def unpin(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        self._decide(product, lambda old: old.model_copy(update={"pin": None}))
        self._settle(record)
        return self.status(product)

    def rollback(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        back = record.previous
        if back is None or back.folder != PLAIN:
            return self.activate(product, record.version_before(self._pins.of(product)))
        if self._agreement.with_others:
            raise ArtifactRefused(NOT_IN_ALL_PROCESSES)
        held = self._head_cache.lease(back)
        if held is None:
            return self.activate(product, record.version_before(self._pins.of(product)))
        try:  # there is no older folder to pin: leave the present contents alone instead
            record.refused[PLAIN] = record.on_disk.get(PLAIN, "")
            record.problems[PLAIN] = "rolled back by an operator; load takes it again"
            record.note = ROLLED_BACK_IN_MEMORY
            self._take(record, back, held)
        finally:
            self._head_cache.release(back)
        return self.status(product)

    def unload(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        if not record.on_disk:  # its folder was removed before; now the list may forget it
            self._records = {name: each for name, each in self._records.items() if name != product}
            self._decide(product, lambda _: PinState())
            return record.status(PinState(unloaded=True), self._head_cache, None)
        self._decide(product, lambda old: old.model_copy(update={"unloaded": True}))
        self._settle(record)
        return self.status(product)

    def prepare(self) -> None:
        """Prove the versions that other processes are about to go to; what cannot be proven here shows later."""
        for proposal in self._preparation.proposals():
            try:
                self._folder.load(proposal.product, proposal.folder)
            except (RefusedError, ServiceError, ValueError) as error:
                event(
                    "version of another process not prepared",
                    logging.WARNING,
                    product=proposal.product,
                    reason=str(error),
                )
            finally:
                self._preparation.answer(proposal)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the folder of artifacts as a whole."""
        return self._folder.trouble

    def active(self, product: str) -> VersionKey | None:
        record = self._records.get(product)
        return record.active if record is not None else None

    def behind(self, product: str) -> str | None:
        """Why the active version must not answer now: an operator or another process has gone to another one."""
        active, pin = self.active(product), self._pins.of(product).pin
        if pin is not None and active is not None and active.folder != pin:
            return f"{product}: version {pin} is pinned and is not loaded here"
        agreed = self._agreement.of(product)
        if agreed is None or agreed.is_for(active):
            return None
        return f"{product}: the other processes are at version {agreed.folder or 'none'}, this one is not there yet"

    def names(self) -> list[str]:
        """All products of the folder; asked for by every request that names none."""
        return sorted({*self._records, *self._agreement.served()})

    def statuses(self) -> list[ProductStatus]:
        return [self._status(record) for record in self._records.values()]

    def status(self, product: str) -> ProductStatus:
        """Raises ProductNotFound."""
        return self._status(self._record(product))

    def _status(self, record: ProductRecord) -> ProductStatus:
        decision = self._pins.of(record.name)
        lost = self._pins.lost_because if decision != PinState() else None
        note = f"this ends with the service, as {lost}" if lost is not None else None
        checked = self._folder.golden_check(record.active.hash) if record.active is not None else None
        return replace(record.status(decision, self._head_cache, note), golden_check=checked)

    def _record(self, product: str) -> ProductRecord:
        record = self._records.get(product)
        if record is None and product in self._agreement.served():
            raise NotReady(
                f"{product}: the other processes serve it, this one does not find its folder", retry_after=1.0
            )
        if record is None:
            raise ProductNotFound(f"product {product[:64]!r}; there are: {', '.join(self._records) or 'none'}")
        return record

    def _fresh(self, product: str) -> ProductRecord:
        self.look()
        return self._record(product)

    def _reason_against_first(self, record: ProductRecord) -> str | None:
        pin = self._pins.of(record.name).pin
        first = next(iter(record.candidates(pin)), pin)
        return record.problems.get(first) if first is not None else "there is nothing to load"

    def _settle(self, record: ProductRecord) -> None:
        """Bring the product to the version that it should have, as far as that can be."""
        if self._pins.of(record.name).unloaded:
            self._retire(record, "asked")
            return
        if not record.on_disk:
            self._retire(record, "gone")
            return
        own, loaded = self._own_choice(record)
        agreed = self._agreement.of(record.name)
        if own is None:
            if agreed is not None and not agreed.is_for(record.active):
                self._follow(record, agreed)
        elif agreed is None or self._speaks_for_all(record, own, agreed) or agreed.is_for(own):
            self._take(record, own, loaded)
        else:
            self._follow(record, agreed)

    def _own_choice(self, record: ProductRecord) -> tuple[VersionKey | None, ProductVersion | None]:
        """The version to serve by what this process sees, with its head where it was just read."""
        active = record.active
        for folder in record.candidates(self._pins.of(record.name).pin):
            if record.is_as_loaded(folder):
                record.problems.pop(folder, None)  # as that it was away for a while
                return active, None
            if record.may_try(folder, self._clock()):
                try:
                    loaded = self._bring(record, folder)
                except (RefusedError, ServiceError):
                    pass
                else:
                    return loaded.key, loaded
            if active is not None and active.folder == folder:  # its folder went bad: what is in memory stays
                return active, None
        return None, None

    def _speaks_for_all(self, record: ProductRecord, own: VersionKey, agreed: Agreed) -> bool:
        """Whether this process has seen something new, so that the others are to follow it and not it them.

        One that has just started and does not find the agreed version waits for the grace: the folder may be away.
        """
        if own == record.own or agreed.is_for(own):
            return False
        if record.own is None and agreed.folder is not None and agreed.folder not in record.on_disk:
            if record.behind_since is None:
                record.behind_since = self._clock()
            return self._clock() - record.behind_since >= self._grace_s
        return True

    def _follow(self, record: ProductRecord, agreed: Agreed) -> None:
        folder = agreed.folder
        if folder is None or folder not in record.on_disk or not record.may_try(folder, self._clock()):
            return
        try:
            loaded = self._bring(record, folder)
        except (RefusedError, ServiceError):
            return
        if agreed.is_for(loaded.key):
            self._switch(record, loaded)

    def _bring(self, record: ProductRecord, folder: str) -> ProductVersion:
        fingerprint = record.on_disk[folder]
        try:
            loaded = self._folder.load(record.name, folder)
        except RefusedError as error:
            if self._folder.is_there(record.name, folder):  # else it is the folder that has trouble
                record.refused[folder] = fingerprint
            record.problems[folder] = error.reason
            event("artifact refused", logging.ERROR, product=record.name, version=folder, reason=error.reason)
            raise
        except ServiceError as error:
            record.try_later(folder, self._clock(), error.detail)
            event("artifact not proven", logging.WARNING, product=record.name, version=folder, reason=error.detail)
            raise
        record.loaded(folder, loaded.key)
        return loaded

    def _bring_or_refuse(self, record: ProductRecord, folder: str) -> ProductVersion:
        try:
            return self._bring(record, folder)
        except RefusedError as error:
            raise ArtifactRefused(error.reason) from error

    def _take(self, record: ProductRecord, key: VersionKey, loaded: ProductVersion | None) -> None:
        """Go to `key`, and have the other processes go there, prepared as far as they can."""
        agreed = self._agreement.of(record.name)
        if record.active is not None and (agreed is None or not agreed.is_for(key)):
            self._preparation.propose(record.name, key, self.prepare)
        self._agreement.publish(record.name, key)
        record.own, record.behind_since = key, None
        if loaded is not None:
            self._switch(record, loaded)

    def _switch(self, record: ProductRecord, loaded: ProductVersion) -> None:
        """The swap: one assignment, after everything that could fail."""
        self._head_cache.put(loaded)
        old, new = record.active, loaded.key
        record.active = new
        if old == new:
            return
        if old is not None:
            record.previous = old
            self._metrics.artifact_inactive(record.name, old.version, old.method, old.hash)
        self._metrics.artifact_active(record.name, new.version, new.method, new.hash)
        self._metrics.calibrated(record.name, loaded.calibrated_at, loaded.calibration.thresholds().ng.rate_promised)
        self._metrics.counter("mkd_swaps_total", product=record.name).inc()
        kept = [key for key in (new, record.previous, record.standby) if key is not None]
        self._head_cache.keep_only(record.name, kept, "replaced")
        event("product switched", product=record.name, version=new.version, before=old.version if old else None)
        for doubt in new.doubts:
            event("served with a doubt", logging.WARNING, product=record.name, version=new.version, reason=doubt)

    def _retire(self, record: ProductRecord, reason: str) -> None:
        self._agreement.publish(record.name, None)
        if record.active is not None:
            old = record.active
            self._metrics.artifact_inactive(record.name, old.version, old.method, old.hash)
            self._metrics.not_served(record.name)
            event("product not served any more", logging.WARNING, product=record.name, reason=reason)
        record.active = record.previous = record.standby = record.own = None
        self._head_cache.keep_only(record.name, (), reason)

    def _decide(self, product: str, change: Callable[[PinState], PinState]) -> None:
        try:
            self._pins.change(product, change)
        except (OSError, ValueError) as error:
            raise ArtifactRefused(f"the state file cannot be written, so nothing has changed: {error}") from error


def _pinned(folder: str, before: VersionKey | None) -> PinState:
    previous = before.folder if before is not None and before.folder != folder else None
    return PinState(pin=folder or None, previous=previous or None)
