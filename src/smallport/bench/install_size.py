"""Add up the size of packages with all that they require."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALWAYS_THERE = ("smallport",)
"""The package that is installed in any case, and PyTorch with it."""


def install_megabytes(packages: Iterable[str], beyond: Iterable[str] = ALWAYS_THERE) -> float:
    """Add up what packages and their requirements take on disk.

    Parameters
    ----------
    packages
        Names of packages that are installed.
    beyond
        Packages that do not count, with all that they require.

    Returns
    -------
    float
        MB of a million bytes.

    Examples
    --------
    >>> install_megabytes(["torch"])
    0.0
    """
    counted = with_requirements(packages) - with_requirements(beyond)
    return sum(_bytes(distribution(name)) for name in counted) / 1e6


def with_requirements(packages: Iterable[str]) -> set[str]:
    """Collect packages and all that they require, as far as it is installed."""
    found: set[str] = set()
    ahead = [canonicalize_name(name) for name in packages]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        ahead += [
            canonicalize_name(requirement.name)
            for requirement in map(Requirement, requirements)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


def _bytes(package: Distribution) -> int:
    """Add up the files of a package, as it was installed."""
    return sum(file.size or 0 for file in package.files or [])
