"""Says loudly, at the end of the run, which real data sets were not there to be tested."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One red line per missing set; the reports are there under xdist too."""
    reasons = {str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())}
    missing = {reason.split("NOT TESTED: ", 1)[1].rstrip("\"')") for reason in reasons if "NOT TESTED: " in reason}
    for reason in sorted(missing):
        terminalreporter.write_line(f"NOT TESTED: {reason}", red=True, bold=True)
