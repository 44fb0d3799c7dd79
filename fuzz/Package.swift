// swift-tools-version: 6.2
import PackageDescription

// A package of its own, because its flags (coverage and the address sanitizer) must not reach the
// program. `Sources` is a link to the project's; `make fuzz` builds and runs this.

let swift: [SwiftSetting] = [.unsafeFlags(["-sanitize=fuzzer,address"])]

let package = Package(
  name: "fuzz",
  platforms: [.macOS(.v14)],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas"),
    // As it is: `make test-sanitizers` runs the kernels under both sanitizers, and they take minutes to compile so.
    .target(
      name: "CKernels", dependencies: ["COpenBLAS"],
      linkerSettings: [.linkedLibrary("omp5", .when(platforms: [.linux])), .linkedLibrary("m")]),
    .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: swift),
    .target(name: "GGUF", dependencies: ["Tensors"], swiftSettings: swift),
    .target(name: "Tokenization", dependencies: ["GGUF", "Tensors"], swiftSettings: swift),
    .target(name: "Adapters", dependencies: ["GGUF", "Tensors"], swiftSettings: swift),
    .executableTarget(
      name: "Fuzz", dependencies: ["Adapters", "Tokenization", "GGUF", "Tensors"], path: "Fuzz",
      swiftSettings: swift + [.unsafeFlags(["-parse-as-library"])],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)
