"""The door to great_expectations: run the suite of ``gx/expectations`` over helper columns.

Only merge-labels and the commands that file labels import this module: importing
great_expectations takes about two seconds.
"""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_plugin.errors import LabelError
from al_plugin.foreign import parsed

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

# Merging relies on these helper columns being checked, whatever else a team adds to the suite.
REQUIRED_COLUMNS = (
    "asked",
    "sample_matches_query",
    "in_pool",
    "annotator_named",
    "status_known",
    "label_matches_status",
    "label_allowed",
    "once_in_file",
    "answered_once",
    "supersedes_earlier_answer",
)

# Columns of 0, 1 or null; an expectation on one applies only where some row has a value.
_SHARES = ("skipped", "too_fast", "accepted_prediction", "agrees")


@dataclass(frozen=True)
class Outcome:
    """What one expectation found: broken rows by position, or an observed value of the table."""

    rule: str
    severity: str
    success: bool
    reason: str
    remedy: str
    rows: tuple[int, ...]
    observed: float | None


def read_suite(content: bytes, where: str) -> dict[str, Any]:
    """The suite as JSON, or LabelError if it is not one or lacks a rule that merging relies on."""
    try:
        suite: dict[str, Any] = parsed(content)
        rules = [expectation["meta"]["rule"] for expectation in suite["expectations"]]
        critical = {
            expectation["kwargs"].get("column")
            for expectation in suite["expectations"]
            if expectation.get("severity", "critical") == "critical"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{where} is not an expectation suite ({error!r})",
            change="give every expectation type, kwargs and meta.rule",
        ) from error
    if len(set(rules)) < len(rules):
        raise LabelError(f"{where} uses a meta.rule twice", change="name every rule once")
    missing = [column for column in REQUIRED_COLUMNS if column not in critical]
    if missing:
        raise LabelError(
            f"{where} has no critical expectation on {', '.join(missing)}, which merging relies on",
            change="restore the shipped expectation and add your own beside it",
        )
    return suite


def validate(
    table: Mapping[str, Sequence[Any]], suite: Mapping[str, Any], docs_folder: str | None = None
) -> list[Outcome]:
    """Run the suite over the helper columns: one outcome per expectation, in the suite's order.

    ``severity`` in the suite decides: critical rows may not merge, anything else is a warning. A
    column whose cells are all null does not apply, and passes. With ``docs_folder`` (absolute)
    great_expectations also writes its Data Docs pages there.
    """
    try:
        results = _run(table, suite, docs_folder)
    except Exception as error:  # great_expectations raises what an expectation's own code raises
        raise LabelError(
            f"the expectation suite could not run ({error})", change="correct gx/expectations/label_batch.json"
        ) from error
    return [_outcome(expectation, results.get(expectation["meta"]["rule"])) for expectation in suite["expectations"]]


def _run(table: Mapping[str, Sequence[Any]], suite: Mapping[str, Any], docs_folder: str | None) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # great_expectations warns of its own dependencies
        import great_expectations as gx
        import pandas as pd
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        frame = pd.DataFrame(dict(table))
        for name in _SHARES:
            frame[name] = frame[name].astype("float64")
        frame["position"] = range(len(frame))
        # Without this the context leaves a temporary folder behind for pages nobody asked for.
        stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        config = DataContextConfig(store_backend_defaults=stores, progress_bars=ProgressBarsConfig(globally=False))
        context = gx.get_context(mode="ephemeral", project_config=config)
        batch = (
            context.data_sources.add_pandas("answers")
            .add_dataframe_asset("label_batch")
            .add_batch_definition_whole_dataframe("whole")
        )
        applicable = [e for e in suite["expectations"] if _applies(e, frame)]
        loaded = context.suites.add(gx.ExpectationSuite(name=suite["name"], expectations=applicable))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name="label_batch", data=batch, suite=loaded)
        )
        asked: dict[str, Any] = {
            "batch_parameters": {"dataframe": frame},
            "result_format": {"result_format": "COMPLETE", "unexpected_index_column_names": ["position"]},
        }
        if docs_folder is None:
            found = definition.run(**asked)
        else:
            found = _run_with_docs(gx, context, definition, docs_folder, **asked)
    results: list[Any] = found.results
    return {result.expectation_config.meta["rule"]: result for result in results}


def _run_with_docs(
    gx: Any, context: Any, definition: Any, folder: str, *, batch_parameters: Any, result_format: Any
) -> Any:
    context.add_data_docs_site(
        site_name="labels",
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": folder},
        },
    )
    action = gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["labels"])
    checkpoint = gx.Checkpoint(
        name="labels", validation_definitions=[definition], actions=[action], result_format=result_format
    )
    run = context.checkpoints.add(checkpoint).run(batch_parameters=batch_parameters)
    return next(iter(run.run_results.values()))


def _applies(expectation: Mapping[str, Any], frame: Any) -> bool:
    column = expectation["kwargs"].get("column")
    return column not in _SHARES or bool(frame[column].notna().any())


def _outcome(expectation: Mapping[str, Any], result: Any) -> Outcome:
    meta = expectation["meta"]
    severity = expectation.get("severity", "critical")
    if result is None:
        return Outcome(meta["rule"], severity, True, meta["reason"], meta["remedy"], (), None)
    trace = result.exception_info or {}
    if trace.get("raised_exception"):
        raise LabelError(
            f"expectation {meta['rule']} could not run: {trace.get('exception_message')}",
            change="correct it in gx/expectations/label_batch.json",
        )
    rows = tuple(sorted(int(row["position"]) for row in result.result.get("unexpected_index_list") or ()))
    observed = result.result.get("observed_value")
    number = round(float(observed), 6) if isinstance(observed, int | float) else None
    return Outcome(meta["rule"], severity, bool(result.success), meta["reason"], meta["remedy"], rows, number)
