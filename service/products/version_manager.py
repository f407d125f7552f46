"""Folders and operators' words in, every product's active version out: which one is loaded and swapped in, and when.

A product's pinned version is served, else its highest. What is refused is remembered with its reason and tried again
when its files change; whatever was active stays so. All methods run on one thread, the registry's; `active`,
`served` and `statuses` may be called from any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from service.errors import ArtifactRefused, NotReady, ProductNotFound, ServiceError
from service.logs import event
from service.metrics import Metrics
from service.products.catalogue import PLAIN, Catalogue, in_order
from service.products.head_cache import HeadCache
from service.products.loader import Loader, RefusedError
from service.products.pins import Decision, Pins
from service.products.product import ProductStatus, ProductVersion
from service.products.product_record import Active, ProductRecord, active_of

NOT_IN_ALL_PROCESSES = (
    "a plain NAME goes back to what is in memory, which only the process that was asked would do: put the files back, "
    "or use NAME/VERSION"
)


class VersionManager:
    """See the module."""

    def __init__(
        self,
        catalogue: Catalogue,
        loader: Loader,
        head_cache: HeadCache,
        pins: Pins,
        metrics: Metrics,
        *,
        alone: bool = True,
    ) -> None:
        self._catalogue = catalogue
        self._loader = loader
        self._head_cache = head_cache
        self._pins = pins
        self._metrics = metrics
        self._alone = alone
        self._records: dict[str, ProductRecord] = {}  # replaced, never changed, as other threads walk over it

    def look(self, *, starting: bool = False) -> None:
        """Take over what has changed in the folder and the state file.

        One product's trouble is not another's. When `starting`, a device that cannot run an artifact raises.
        """
        self._read_pins()
        found = self._catalogue.look()
        for name in self._records.keys() - found.keys():
            self._retire(self._records[name], "gone")
        self._records = {name: self._records.get(name) or ProductRecord(name) for name in sorted(found)}
        for name, record in self._records.items():
            record.on_disk = found[name]
            for gone in record.problems.keys() - record.on_disk.keys():
                del record.problems[gone]
            try:
                self._settle(record, starting=starting)
            except ServiceError as error:
                if starting:
                    raise
                event("product not settled", logging.WARNING, product=name, reason=error.detail)

    def load(self, product: str, version: str | None) -> ProductStatus:
        record = self._fresh(product)
        if version is not None:
            folder = record.folder(version)
            loaded = self._bring_or_refuse(record, folder)
            record.standby = self._head_cache.put(loaded)
        record.refused.clear()
        self._decide(product, lambda old: old.model_copy(update={"unloaded": False}))
        self._settle(record)
        if version is None and (reason := self._reason_against_first(record)) is not None:
            raise ArtifactRefused(reason)
        return self.status(product)

    def activate(self, product: str, version: str) -> ProductStatus:
        record = self._fresh(product)
        folder = record.folder(version)
        loaded = self._bring_or_refuse(record, folder)
        self._decide(product, lambda _: _pinned(folder, record.active))
        self._switch(record, loaded)
        return self.status(product)

    def unpin(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        self._decide(product, lambda old: old.model_copy(update={"pin": None}))
        self._settle(record)
        return self.status(product)

    def rollback(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        back = record.previous
        held = self._head_cache.lease(back.key) if back is not None else None
        if back is None or held is None:
            return self.activate(product, record.version_before(self._pins.of(product)))
        try:
            if back.key.folder == PLAIN and not self._alone:
                raise ArtifactRefused(NOT_IN_ALL_PROCESSES)
            if back.key.folder == PLAIN:  # there is no older folder to pin: leave the present contents alone instead
                record.refused[PLAIN] = record.on_disk.get(PLAIN, "")
                record.problems[PLAIN] = "rolled back by an operator; load takes it again"
            else:
                self._decide(product, lambda _: _pinned(back.key.folder, record.active))
            self._switch(record, held)
        finally:
            self._head_cache.release(back.key)
        return self.status(product)

    def unload(self, product: str) -> ProductStatus:
        record = self._fresh(product)
        self._decide(product, lambda old: old.model_copy(update={"unloaded": True}))
        self._retire(record, "asked")
        return self.status(product)

    def active(self, product: str) -> Active | None:
        record = self._records.get(product)
        return record.active if record is not None else None

    def served(self) -> list[str]:
        """The products that have an active version, by name; asked for by every request that names none."""
        return [name for name, record in self._records.items() if record.active is not None]

    def statuses(self) -> list[ProductStatus]:
        return [record.status(self._pins.of(record.name), self._head_cache) for record in self._records.values()]

    def status(self, product: str) -> ProductStatus:
        """Raises ProductNotFound."""
        record = self._record(product)
        return record.status(self._pins.of(product), self._head_cache)

    def _record(self, product: str) -> ProductRecord:
        record = self._records.get(product)
        if record is None:
            raise ProductNotFound(f"product {product[:64]!r}; there are: {', '.join(self._records) or 'none'}")
        return record

    def _fresh(self, product: str) -> ProductRecord:
        self.look()
        return self._record(product)

    def _candidates(self, record: ProductRecord) -> list[str]:
        pin = self._pins.of(record.name).pin
        if pin is None:
            return in_order(list(record.on_disk))[::-1]
        if pin not in record.on_disk:
            record.problems[pin] = "is pinned and not in the folder"
            return []
        return [pin]

    def _reason_against_first(self, record: ProductRecord) -> str | None:
        first = next(iter(self._candidates(record)), self._pins.of(record.name).pin)
        return record.problems.get(first) if first is not None else "there is nothing to load"

    def _settle(self, record: ProductRecord, *, starting: bool = False) -> None:
        """Bring the product to the version that it should have, as far as that can be."""
        if self._pins.of(record.name).unloaded:
            if record.active is not None:
                self._retire(record, "asked")
            return
        for folder in self._candidates(record):
            is_active = record.active is not None and record.active.key.folder == folder
            print_now = record.on_disk[folder]
            known = record.known.get(folder)
            if is_active and known is not None and known == (print_now, record.active):
                return
            if record.refused.get(folder) != print_now:
                try:
                    self._switch(record, self._bring(record, folder))
                except RefusedError as error:
                    if starting and error.by_device:
                        raise NotReady(f"{record.name}: {error.reason}") from error
                else:
                    return
            if is_active:  # its folder went bad: what is in memory stays
                return

    def _read_pins(self) -> None:
        try:
            self._pins.read()
        except (OSError, ValueError) as error:  # what was decided before stands; changes are refused until it is mended
            event("state file not read", logging.ERROR, error=str(error))

    def _bring(self, record: ProductRecord, folder: str) -> ProductVersion:
        fingerprint = record.on_disk[folder]
        try:
            loaded = self._loader.bring(record.name, folder)
        except RefusedError as error:
            record.refused[folder] = fingerprint
            record.problems[folder] = error.reason
            event("artifact refused", logging.ERROR, product=record.name, version=folder, reason=error.reason)
            raise
        record.refused.pop(folder, None)
        record.problems.pop(folder, None)
        record.known[folder] = (fingerprint, active_of(loaded))
        return loaded

    def _bring_or_refuse(self, record: ProductRecord, folder: str) -> ProductVersion:
        try:
            return self._bring(record, folder)
        except RefusedError as error:
            raise ArtifactRefused(error.reason) from error

    def _switch(self, record: ProductRecord, loaded: ProductVersion) -> None:
        """The swap: one assignment, after everything that could fail."""
        self._head_cache.put(loaded)
        old, new = record.active, active_of(loaded)
        record.active = new
        if old is not None and old.key == new.key:
            return
        if old is not None:
            record.previous = old
            self._metrics.artifact_inactive(record.name, old.version, old.method, old.key.hash)
        self._metrics.artifact_active(record.name, new.version, new.method, new.key.hash)
        self._metrics.calibrated(record.name, loaded.calibrated_at, loaded.calibration.thresholds().ng.rate_promised)
        self._metrics.counter("mkd_swaps_total", product=record.name).inc()
        kept = {
            new.key,
            *([record.previous.key] if record.previous else []),
            *([record.standby] if record.standby else []),
        }
        self._head_cache.keep_only(record.name, kept, "replaced")
        event("product switched", product=record.name, version=new.version, before=old.version if old else None)

    def _retire(self, record: ProductRecord, reason: str) -> None:
        if record.active is not None:
            old = record.active
            self._metrics.artifact_inactive(record.name, old.version, old.method, old.key.hash)
            self._metrics.not_served(record.name)
        record.active = record.previous = record.standby = None
        self._head_cache.keep_only(record.name, (), reason)

    def _decide(self, product: str, change: Callable[[Decision], Decision]) -> None:
        try:
            self._pins.change(product, change)
        except (OSError, ValueError) as error:
            raise ArtifactRefused(f"the state file cannot be written, so nothing has changed: {error}") from error


def _pinned(folder: str, before: Active | None) -> Decision:
    previous = before.key.folder if before is not None and before.key.folder != folder else None
    return Decision(pin=folder or None, previous=previous or None)
