"""The wheel is built once for each version, and its bytes depend on nothing else."""

import tarfile
import zipfile

import pytest

from smallport import files
from tools import version
from tools.downloads import wheel
from tools.gallery import settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Build into a folder of the test's own."""
    monkeypatch.setattr(wheel, "FOLDER", tmp_path / "wheel")
    monkeypatch.setattr(wheel, "NOTE", tmp_path / "wheel.json")
    return tmp_path / "wheel"


def test_a_wheel_is_built_once_and_again_if_it_is_broken(folder):
    wheel.build()
    (file,) = folder.iterdir()
    assert file.name == wheel.built().name
    assert version.version() == wheel.built().version
    before, date = file.read_bytes(), file.stat().st_mtime_ns
    wheel.build()
    assert file.stat().st_mtime_ns == date
    file.write_bytes(b"broken")
    wheel.build()
    assert file.read_bytes() == before
    assert zipfile.ZipFile(file).testzip() is None


def test_other_addresses_and_versions_mean_another_wheel(folder, monkeypatch):
    wheel.build()
    before = wheel.made_from()
    monkeypatch.setenv(settings.SITE_URL, "https://example.org/")
    assert wheel.made_from() != before
    wheel.build()
    (file,) = folder.iterdir()
    name = f"smallport-{version.version()}.dist-info/METADATA"
    assert "https://example.org/" in zipfile.ZipFile(file).read(name).decode()
    monkeypatch.setattr(version, "version", lambda: "0.1.0.dev9+g0123")
    assert "0.1.0.dev9+g0123" in wheel.made_from()


def test_an_sdist_builds_the_same_wheel_without_git(folder, tmp_path):
    wheel.build()
    (file,) = folder.iterdir()
    expected = files.sha256(file)
    hatchling = [wheel.sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)]
    wheel.subprocess.run(
        [*hatchling, "--target", "sdist"], check=True, cwd=wheel.project.ROOT, capture_output=True
    )
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / packed.name.removesuffix(".tar.gz")
    wheel.subprocess.run(
        [*hatchling, "--target", "wheel"], check=True, cwd=unpacked, capture_output=True
    )
    assert files.sha256(tmp_path / file.name) == expected
