"""Steps in the hands of a scheduler, for those who look at a store: what has become of them, and how to take them back."""

from __future__ import annotations

from collections.abc import Iterable

from simclr_spec.store.layout import RunFolder, Store


def refresh(store: Store) -> str:
    """Write down what has become of queued Steps; a sentence where the scheduler could not be asked, else nothing.

    It is asked at most every ten seconds, whoever calls, and only where something is queued.
    """
    if not store.arrays.is_dir():
        return ""
    from simclr_spec.dispatch.slurm import reconcile

    seen = reconcile.watched(store)
    return f"{seen.silent}: queued Steps are shown as they were last seen" if seen and seen.silent else ""


def cancel(folders: Iterable[RunFolder]) -> None:
    """Take queued Steps out of the queue. Raises SimclrSpecError where the scheduler cannot be asked."""
    stopped = {queued.job: folder for folder in folders if folder.state() == "queued" and (queued := folder.queued_as())}
    if stopped:
        from simclr_spec.dispatch.slurm import commands

        commands.cancel([*stopped])
        for folder in stopped.values():
            folder.store.asked.unlink(missing_ok=True)  # so that the next look sees it
