"""Which checks concern a strategy, and running them."""

import warnings

from al_plugin.checks import common, merge, score, select, train
from al_plugin.checks.result import BrokenPromiseError, Check, CheckResult
from al_plugin.strategies.registry import Strategy

CHECKS: tuple[Check, ...] = tuple(
    value
    for module in (common, score, select, merge, train)
    for value in vars(module).values()
    if isinstance(value, Check)
)


def checks_for(strategy: Strategy) -> tuple[Check, ...]:
    """The checks that concern a strategy, by its stage and what its card and signature say."""
    return tuple(one for one in CHECKS if strategy.stage in one.stages and one.concerns(strategy))


def check_strategy(strategy: Strategy, *, skip_expected: bool = True) -> list[CheckResult]:
    """Run every check that concerns a strategy, on data made here.

    A promise that the card declares as broken (``expected_failures``) counts as ok while it is
    broken, unless ``skip_expected`` is False; once it is kept the declaration is the failure, as is
    one that names no check of this strategy.
    """
    concerned = checks_for(strategy)
    results = [run_check(strategy, one, skip_expected=skip_expected) for one in concerned]
    known = {one.name for one in concerned}
    results += [
        CheckResult(name, ok=False, expected=reason, message="expected_failures names no check of this strategy")
        for name, reason in strategy.card.expected_failures.items()
        if name not in known
    ]
    return results


def run_check(strategy: Strategy, one: Check, *, skip_expected: bool = True) -> CheckResult:
    """Run one check; whatever the strategy raises is a failure with its message, never an exception."""
    reason = strategy.card.expected_failures.get(one.name, "")
    message = _failure(strategy, one)
    if reason and not message:
        message = "declared as broken, but kept; remove it from expected_failures"
        return CheckResult(one.name, ok=False, expected=reason, message=message)
    return CheckResult(one.name, ok=not message or (bool(reason) and skip_expected), expected=reason, message=message)


def _failure(strategy: Strategy, one: Check) -> str:
    """What is wrong, or an empty text."""
    # The check `quiet` makes warnings errors; the others say what they are about.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            one.run(strategy)
        except BrokenPromiseError as broken:
            return str(broken)
        except Exception as error:  # noqa: BLE001 - a strategy may raise anything
            return f"{type(error).__name__}: {error}"
    return ""
