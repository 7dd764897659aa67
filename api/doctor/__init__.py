"""`gblend-server doctor`: what the service needs, checked for real, and what to do about it.

It starts nothing, migrates nothing and makes no database; the one thing that it writes is a file in the artifact store,
which it removes. It never shows a password.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from api.doctor import machine, service
from api.doctor.finding import Finding, counted

__all__ = ["Finding", "as_text", "diagnose", "report"]


def diagnose(environment: Mapping[str, str]) -> list[Finding]:
    """Every check that can be made. The settings come from the process's environment."""
    settings, first = machine.check_settings(environment)
    found = [first]
    if settings is None:
        return found
    found.append(machine.check_state(settings))
    found += service.check_database(settings)
    found.append(service.check_broker(settings))
    found.append(service.check_artifacts(settings))
    found += machine.check_roots(settings)
    found += machine.check_remote_roots(settings)
    found += machine.check_gpus(environment)
    return found


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """As JSON."""
    return {"healthy": _count(findings, "problem") == 0, "checks": [asdict(finding) for finding in findings]}


def as_text(findings: Sequence[Finding]) -> str:
    """For people: a line per check, what to do below it, and a sum at the end."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8} {finding.check}: {finding.found}")
        if finding.hint is not None:
            lines.append(f"{'':<8}   -> {finding.hint}")
    problems, warnings = _count(findings, "problem"), _count(findings, "warning")
    lines.append(f"{counted(len(findings), 'check')}, {counted(problems, 'problem')}, {counted(warnings, 'warning')}")
    return "\n".join(lines)


def _count(findings: Sequence[Finding], status: str) -> int:
    return sum(finding.status == status for finding in findings)
