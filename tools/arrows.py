"""Checks that arrows point down: every target imports only what the house allows.

Package.swift lists what each target may import; FLOORS below says which way is down. SwiftPM itself
accepts an import of any module that another target happens to reach, so this script is the check.

    python3 tools/arrows.py [FOLDER]       check the package in FOLDER, by default this repository
    python3 tools/arrows.py --self-test    show that each kind of mistake is found
"""

import pathlib
import re
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The house, from the ground up. A target may depend on targets of lower floors only.
FLOORS = [
    ["CKernels"],
    ["Tensors"],
    ["GGUF"],
    ["Tokenization", "Adapters"],
    ["Llama"],
    ["Generation", "Scoring"],
    ["Training", "Oracles"],
    ["OutsideOracles"],
    ["INPO", "Evaluation"],
    ["Serving"],
    ["parley"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# Modules that belong to one owner: nobody else in Sources may depend on them or import them.
OWNER = {"CKernels": "Tensors"}

# Modules that come with the toolchain or the system.
SYSTEM = {"Foundation", "FoundationEssentials", "Dispatch", "Synchronization", "Swift", "os"}
SYSTEM |= {"Glibc", "Musl", "Darwin"}
SYSTEM_IN_TESTS = SYSTEM | {"Testing"}

# The float64 twin judges the product, so it shares no code with it.
TWIN = "ReferenceModel"

TARGET = re.compile(r"\.(target|executableTarget|testTarget|systemLibrary)\s*\(")
STRING = re.compile(r'"([^"\n]*)"')
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:struct|class|enum|protocol|typealias|func|let|var|actor)\s+)?(\w+)"
)


class Target(NamedTuple):
    name: str
    is_test: bool  # lives under Tests: test suites and what supports them
    folder: str
    imports: frozenset


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), text, flags=re.S)
    return re.sub(r"(?m)(^|[ \t])//.*$", "", text)


def closing(text, start, pair):
    """Returns the index just behind the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == pair[0]) - (text[index] == pair[1])
        if depth == 0:
            return index + 1
    raise ValueError("Package.swift: a bracket is not closed")


def read_package(folder):
    """Returns the targets that Package.swift declares, each with the modules it may import."""
    text = without_comments((folder / "Package.swift").read_text(encoding="utf-8"))
    targets = []
    end = 0
    for match in TARGET.finditer(text):
        if match.start() < end:
            continue  # `.target(name:)` among another target's dependencies
        end = closing(text, match.end() - 1, "()")
        body = text[match.end() - 1 : end]
        name = re.search(r'name:\s*"([^"]+)"', body).group(1)
        path = re.search(r'path:\s*"([^"]+)"', body)
        home = "Tests" if match.group(1) == "testTarget" else "Sources"
        source = path.group(1) if path else f"{home}/{name}"
        imports = frozenset()
        if dependencies := re.search(r"dependencies:\s*\[", body):
            start = dependencies.end() - 1
            listed = body[start : closing(body, start, "[]")]
            listed = re.sub(r',\s*package:\s*"[^"]*"', "", listed)
            imports = frozenset(STRING.findall(listed))
        targets.append(Target(name, source.startswith("Tests"), source, imports))
    return targets


def package_problems(targets):
    """Mistakes in Package.swift itself."""
    known = {target.name for target in targets}
    for target in targets:
        where = f"Package.swift: {target.name}"
        inside = sorted(target.imports & known)
        if target.name == TWIN and inside:
            yield f"{where} must depend on no product code, but lists {', '.join(inside)}."
        if target.is_test:
            continue
        if target.name not in FLOOR:
            yield f"{where} has no floor. Place it in FLOORS of tools/arrows.py."
            continue
        for other in inside:
            if other not in FLOOR:
                yield f"{where} depends on {other}, which is for tests."
            elif FLOOR[other] >= FLOOR[target.name]:
                yield f"{where} depends on {other}, which is not below it. Arrows point down only."
            elif OWNER.get(other, target.name) != target.name:
                yield f"{where} depends on {other}, which only {OWNER[other]} may use."


def imports_of(path):
    """Yields (line number, module) for each import of one Swift file."""
    text = without_comments(path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        for statement in line.split(";"):
            if match := IMPORT.match(statement):
                yield number, match.group(1)


def source_problems(folder, target):
    """Imports of one target that Package.swift does not list."""
    allowed = target.imports | (SYSTEM_IN_TESTS if target.is_test else SYSTEM)
    for path in sorted((folder / target.folder).rglob("*.swift")):
        for number, module in imports_of(path):
            if module not in allowed:
                listed = ", ".join(sorted(target.imports)) or "nothing"
                yield (
                    f"{path.relative_to(folder)}:{number}: {target.name} may not import {module}. "
                    f"Package.swift lists for it: {listed}."
                )


def stray_problems(folder, targets):
    """Source folders that no target owns, so that nothing would check them."""
    owned = {target.folder for target in targets}
    for home in ("Sources", "Tests"):
        for path in sorted((folder / home).glob("*/")):
            relative = f"{home}/{path.name}"
            if relative not in owned and any(path.rglob("*.swift")):
                yield f"{relative}: Package.swift has no target for this folder."


def problems(folder):
    targets = read_package(folder)
    found = list(package_problems(targets))
    for target in targets:
        found += source_problems(folder, target)
    return found + list(stray_problems(folder, targets))


# The self-test: a small package without mistakes, then each mistake alone.

CLEAN = {
    "Package.swift": """
        let package = Package(
          products: [.library(name: "P", targets: ["Llama"])],
          dependencies: [.package(url: "https://host/swift-crypto", from: "4.0.0")],
          targets: [
            .systemLibrary(name: "COpenBLAS", path: "Tests/COpenBLAS", providers: [.apt(["x"])]),
            .target(name: "CKernels"),
            .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: strict),
            .target(name: "GGUF", dependencies: ["Tensors"]),  // "parley" in a comment
            .target(name: "Llama", dependencies: [
              "GGUF", .product(name: "Crypto", package: "swift-crypto")]),
            .target(name: "ReferenceModel", path: "Tests/ReferenceModel"),
            .testTarget(name: "GGUFTests", dependencies: [.target(name: "GGUF")]),
          ])
        """,
    "Sources/Tensors/A.swift": "import CKernels\nimport Foundation\n",
    "Sources/GGUF/A.swift": "#if canImport(Glibc)\n  import Glibc\n#endif\npublic import Tensors\n",
    "Sources/Llama/Deep/A.swift": "// import Scoring\nimport struct GGUF.File\nimport Crypto\n",
    "Tests/ReferenceModel/A.swift": "import Foundation\n",
    "Tests/GGUFTests/A.swift": "import Testing\n@testable import GGUF\n",
}

# What is wrong: (file, text to replace, new text, words the message must hold).
MISTAKES = [
    ("Sources/GGUF/A.swift", "import Tensors", "import Llama", "GGUF may not import Llama"),
    ("Sources/GGUF/A.swift", "import Tensors", "import CKernels", "GGUF may not import CKernels"),
    ("Sources/GGUF/A.swift", "public import Tensors", "@_exported import Crypto", "import Crypto"),
    ("Sources/Llama/Deep/A.swift", "// import", "import", "Llama may not import Scoring"),
    ("Sources/Llama/Deep/A.swift", "struct GGUF.File", "func Tensors.add", "may not import Tensors"),
    ("Sources/Tensors/A.swift", "import Foundation", "import Testing", "may not import Testing"),
    ("Tests/ReferenceModel/A.swift", "Foundation", "GGUF", "ReferenceModel may not import GGUF"),
    ("Tests/GGUFTests/A.swift", "import Testing", "import Tensors", "GGUFTests may not import Tensors"),
    ("Package.swift", '["Tensors"]', '["Tensors", "Llama"]', "GGUF depends on Llama, which is not below"),
    ("Package.swift", '["Tensors"]', '["Tensors", "CKernels"]', "which only Tensors may use"),
    ("Package.swift", '["Tensors"]', '["Tensors", "ReferenceModel"]', "which is for tests"),
    ("Package.swift", 'path: "Tests/R', 'dependencies: ["GGUF"], path: "Tests/R', "no product code"),
    ("Package.swift", 'name: "Llama"', 'name: "Lama"', "Lama has no floor"),
    ("Package.swift", 'name: "Llama"', 'name: "Lama"', "Sources/Llama: Package.swift has no target"),
]


def problems_of(files):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return problems(folder)


def self_test():
    wrong = [f"the clean package is refused: {text}" for text in problems_of(CLEAN)]
    for path, old, new, words in MISTAKES:
        if CLEAN[path].count(old) != 1:
            wrong.append(f"{path} does not hold exactly one {old!r}")
        found = problems_of({**CLEAN, path: CLEAN[path].replace(old, new)})
        if not any(words in text for text in found):
            wrong.append(f"in {path}, {new!r} is not reported as {words!r}, but as {found}")
    return wrong


def main(arguments):
    if arguments == ["--self-test"]:
        found, good = self_test(), f"arrows: self-test finds all {len(MISTAKES)} mistakes."
    else:
        folder = pathlib.Path(arguments[0]).resolve() if arguments else ROOT
        found, good = problems(folder), f"arrows: {len(read_package(folder))} targets point down."
    for text in found:
        print(f"arrows: {text}", file=sys.stderr)
    if not found:
        print(good)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
