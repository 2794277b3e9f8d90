"""Add up the reports of the suites and refuse tests that were skipped.

A test may be skipped in CI only if `ALLOWED_SKIPS` names it with the reason why no machine of CI can run it.
The last line is what a reader of logs, or a script, looks for: `N passed, N failed`.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ALLOWED_SKIPS: dict[str, str] = {  # test id without parameters: reason
    "tests.chaos.test_disk_full.test_while_the_disk_is_full_the_apis_say_so_and_nothing_acknowledged_is_lost": (
        "a machine on which nothing may be mounted has no small disk to fill"
    ),
    "tests.chaos.webhooks.test_two_versions.test_two_versions_side_by_side_lose_nothing_whichever_dies": (
        "a clone without history has no other version"
    ),
    "tests.chaos.webhooks.test_two_versions.test_the_other_version_is_another": (
        "a clone without history has no other version"
    ),
}


def main(reports: Path, *broken: str) -> int:
    """Print one line a suite and the totals; return 1 if anything failed or was skipped without leave.

    *broken* are the names of the commands that ended badly, whether or not they left a report.
    """
    totals: Counter[str] = Counter()
    refused: list[str] = []
    for report in sorted(reports.glob("*.xml")):
        counts: Counter[str] = Counter()
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own reports
            name = f"{case.get('classname')}.{case.get('name')}"
            outcome = _outcome(case)
            counts[outcome] += 1
            for used in case.iterfind("properties/property[@name='database']"):
                counts[f"on {used.get('value')}"] += 1
            if outcome == "skipped" and name.partition("[")[0] not in ALLOWED_SKIPS:
                refused.append(f"{name}: {_reason(case)}")
        print(f"{report.stem}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
        totals += counts
    for name in refused:
        print(f"skipped without leave: {name}")
    for name in broken:
        print(f"failed: {name}")
    failures = max(totals["failed"], len(broken)) + len(refused)
    print(f"{totals['passed']} passed, {failures} failed")
    return 1 if failures or not totals["passed"] else 0


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None or skipped.get("type") == "pytest.xfail":
        return "passed"
    return "skipped"


def _reason(case: ElementTree.Element) -> str:
    skipped = case.find("skipped")
    return "" if skipped is None else skipped.get("message", "")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
