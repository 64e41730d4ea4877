"""The contract of a strategy as runnable checks, for shipped strategies and for anyone's own."""

from al_plugin.checks.result import BrokenPromiseError, Check, CheckResult
from al_plugin.checks.suite import check_strategy, checks_for, run_check

__all__ = ["BrokenPromiseError", "Check", "CheckResult", "check_strategy", "checks_for", "run_check"]
