"""One run: data, model, fit, test once, measure, record."""

import sys
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from depthlab.config.errors import TakenError
from depthlab.config.schema import Settings
from depthlab.graph.cluster import ClusterBatches
from depthlab.graph.large import LargeGraph
from depthlab.measures.registry import costly
from depthlab.tracking.loggers import check_loggers
from depthlab.tracking.record import EpochRecord
from depthlab.training.checkpoint import without_damaged_checkpoint
from depthlab.training.claim import open_record
from depthlab.training.device import with_available_device
from depthlab.training.fit import make_fit, quiet_libraries
from depthlab.training.identity import LAST, LOCK, checkpoint_folder
from depthlab.training.prepared import prepare, use_threads
from depthlab.training.ranks import end_on_signal, process_group
from depthlab.training.result import Result, describe, evaluate, record
from depthlab.training.run_name import run_name
from depthlab.training.signals import deferred_signals, interruptible


def run(
    settings: Settings,
    provenance: Mapping[str, str] | None = None,
    labels: dict[str, str] | None = None,
    reuse: str | None = None,
) -> Result:
    """Train, test once and record.

    Args:
        settings: with `tracking.uri` filled in.
        provenance: where each value came from (`depthlab.config.provenance`), recorded unchanged.
        labels: additional tags of the run.
        reuse: for a run of a study: `any_code`, or `same_code` if results of other code do not count. Such a run raises
            TakenError if another command trains it or has just finished it.

    Raises:
        UserError: data or the tracking store cannot be used, a run with the same settings is already running
            (`TakenError`), or there is no checkpoint to resume (`ResumeError`: it belongs to a run with other settings,
            data or code).
        KeyboardInterrupt: after the run has been closed as interrupted.
    """
    quiet_libraries()
    check_loggers(settings.logger)
    settings = with_available_device(settings)
    use_threads(settings.trainer)
    folder = checkpoint_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, blocking=False):
            settings = without_damaged_checkpoint(settings, folder)
            with process_group(settings.trainer):
                return _run(settings, provenance or {}, labels or {}, folder, reuse)
    except Timeout:
        raise TakenError(f"{run_name(settings)} is being trained already with the same settings: wait for it") from None


def train_only(settings: Settings) -> None:
    """Train on a rank other than rank 0, which evaluates, records and writes files for all ranks.

    Args:
        settings: as for `run`.

    Raises:
        UserError: as in `run`.
        KeyboardInterrupt: rank 0 was interrupted, or the connection to another rank is lost.
    """
    end_on_signal()  # until training starts: from then on rank 0 decides when it ends
    quiet_libraries()
    settings = with_available_device(settings)
    use_threads(settings.trainer)
    folder = checkpoint_folder(settings)
    settings = without_damaged_checkpoint(settings, folder)
    with process_group(settings.trainer):
        prepared = prepare(settings, folder)
        model, batches = prepared.experiment.module, prepared.experiment.batches
        fit = make_fit(settings, model, batches, EpochRecord(), folder, prepared.identity)
        if not (prepared.content and fit.ended(prepared.content)):
            fit.run(model, prepared.checkpoint)


def _run(
    settings: Settings,
    provenance: Mapping[str, str],
    labels: dict[str, str],
    folder: Path,
    reuse: str | None,
) -> Result:
    prepared = prepare(settings, folder)
    made, content = prepared.experiment, prepared.content
    model, batches = made.module, made.batches
    more = prepared.identity | labels | {"memory": model.memory}
    if isinstance(batches, ClusterBatches) and isinstance(batches.all_parts[0], LargeGraph) and not model.by_blocks:
        print(
            f"{run_name(settings)} cannot be evaluated layer by layer, but only with the full graph in memory",
            file=sys.stderr,
        )
    tracked = None
    with deferred_signals():  # until the error is recorded: torchrun sends SIGTERM after a lost rank
        try:
            with interruptible():
                with deferred_signals():  # close a created run in any case
                    tracked = open_record(settings, provenance, more, content, reuse)
                describe(tracked, settings, provenance)
                fit = make_fit(settings, model, batches, tracked, folder, prepared.identity)
                if not (content and fit.restore(model, content)):
                    fit.run(model, prepared.checkpoint)
                result = Result.of(tracked)
                result.statistics |= made.data.rewired.statistics
                if settings.progress and (slow := costly(settings.measures)):
                    print(f"measuring {', '.join(slow)}, which may take minutes", file=sys.stderr)
                evaluate(fit, model, batches, settings.measures, result)
                record(made, settings, tracked, result, folder)
        except KeyboardInterrupt:
            if tracked:
                tracked.abandon("KILLED", "interrupted")
            raise
        except Exception as error:
            if tracked:
                tracked.abandon("FAILED", "failed", f"{type(error).__name__}: {error}")
            raise
    (folder / LAST).unlink(missing_ok=True)  # after everything is recorded: until then the run can be resumed
    return result
