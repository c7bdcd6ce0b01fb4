"""What the package asks for, core and extras, against what is installed. Reads metadata only; imports nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from omnireward.doctor.findings import Finding

PACKAGE = "omnireward"
NOT_FOR_USERS = ("all", "dev")  # sums of others, and what only development needs


def findings() -> Iterator[Finding]:
    """One for the package, one for each requirement of the core, one for each extra."""
    try:
        found = metadata.metadata(PACKAGE)
    except metadata.PackageNotFoundError:
        yield Finding(
            "core", PACKAGE, "problem", "is imported from a folder, and not installed", "pip install -e . in its folder"
        )
        return
    for requirement in required(""):
        yield _core(requirement)
    for extra in sorted(set(found.get_all("Provides-Extra") or ()) - set(NOT_FOR_USERS)):
        yield _extra(extra)


def required(extra: str) -> list[Requirement]:
    """What an extra adds to the core; what the core needs where `extra` is empty."""
    asked = []
    for line in metadata.requires(PACKAGE) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if extra and (marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra})):
            continue
        if not extra and marker is not None and not marker.evaluate({"extra": ""}):
            continue
        if canonicalize_name(requirement.name) == PACKAGE:  # an extra of extras
            asked += [each for inner in requirement.extras for each in required(inner)]
        else:
            asked.append(requirement)
    return asked


def installed(name: str) -> str | None:
    """A version, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _core(requirement: Requirement) -> Finding:
    version = installed(requirement.name)
    if version is None:
        return Finding("core", requirement.name, "problem", "is not installed", f"pip install '{_plain(requirement)}'")
    if _fits(requirement, version):
        return Finding("core", requirement.name, "ok", version)
    says = f"{version}, but {requirement.specifier} is needed"
    return Finding("core", requirement.name, "problem", says, f"pip install '{_plain(requirement)}'")


def _extra(extra: str) -> Finding:
    asked = required(extra)
    versions = {requirement.name: installed(requirement.name) for requirement in asked}
    missing = [name for name, version in versions.items() if version is None]
    wrong = [
        f"{each.name} {version} is installed, but {each.specifier} is needed"
        for each in asked
        if (version := versions[each.name]) is not None and not _fits(each, version)
    ]
    mend = f"pip install '{PACKAGE}[{extra}]'"
    if wrong:
        # Half an extra that somebody else installed breaks nothing as long as the other half is not there.
        return Finding("extras", extra, "missing" if missing else "problem", "; ".join(wrong), mend)
    if missing:
        return Finding("extras", extra, "missing", f"not installed: {', '.join(missing)}", mend)
    return Finding("extras", extra, "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))


def _fits(requirement: Requirement, version: str) -> bool:
    """Whether a version will do; a local build such as 2.13.0+cpu is its version."""
    return requirement.specifier.contains(Version(version).public, prereleases=True)


def _plain(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
