// swift-tools-version: 6.2
import PackageDescription

// Arrows point down only; `make arrows` checks that each target imports what is listed here and nothing else.

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "parley",
  platforms: [.macOS(.v14)],
  products: [
    .executable(name: "parley", targets: ["parley"]),
    .library(
      name: "Parley",
      targets: ["Tensors", "GGUF", "Tokenization", "Adapters", "Llama", "Generation", "Scoring", "Training", "Oracles"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
  ],
  targets: [
    // C: block formats and arithmetic, one folder per instruction set.
    .target(
      name: "CKernels",
      cSettings: [.enableWarning("all"), .treatAllWarnings(as: .error)],
      linkerSettings: [
        .linkedLibrary("omp5", .when(platforms: [.linux])),
        .linkedLibrary("m", .when(platforms: [.linux])),
      ]),

    // Row 0 to 7 of the house.
    .target(name: "Tensors", dependencies: ["CKernels"], swiftSettings: strict),
    .target(name: "GGUF", dependencies: ["Tensors"], swiftSettings: strict),
    .target(name: "Tokenization", dependencies: ["GGUF", "Tensors"], swiftSettings: strict),
    .target(name: "Adapters", dependencies: ["GGUF", "Tensors"], swiftSettings: strict),
    .target(name: "Llama", dependencies: ["Adapters", "GGUF", "Tensors"], swiftSettings: strict),
    .target(name: "Generation", dependencies: ["Llama", "Tokenization", "Tensors"], swiftSettings: strict),
    .target(name: "Scoring", dependencies: ["Llama", "Tokenization", "Tensors"], swiftSettings: strict),
    .target(name: "Training", dependencies: ["Llama", "Adapters", "Tensors"], swiftSettings: strict),
    .target(
      name: "Oracles",
      dependencies: [
        "Scoring", "Llama", "Tokenization", "GGUF", "Tensors",
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: strict),
    // Apart from Oracles, so that a library user does not build HTTP.
    .target(
      name: "OutsideOracles",
      dependencies: [
        "Oracles", "Tokenization", "Tensors",
        .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
      ], swiftSettings: strict),
    .target(
      name: "INPO",
      dependencies: [
        "Training", "Oracles", "Scoring", "Generation", "Llama", "Adapters", "Tokenization", "GGUF", "Tensors",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    .target(
      name: "Evaluation",
      dependencies: [
        "Oracles", "Scoring", "Generation", "Llama", "Tokenization", "Tensors",
        .product(name: "Crypto", package: "swift-crypto"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "parley",
      dependencies: [
        "Evaluation", "INPO", "OutsideOracles", "Oracles", "Training", "Generation", "Scoring", "Llama", "Adapters",
        "Tokenization", "GGUF", "Tensors",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: strict),

    // Tests mirror Sources. ReferenceModel is the float64 twin and imports no product code.
    .target(name: "ReferenceModel", path: "Tests/ReferenceModel", swiftSettings: strict),
    .target(
      name: "TestSupport", dependencies: ["GGUF", "Tensors"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "ReferenceModelTests", dependencies: ["ReferenceModel"], path: "Tests/ReferenceModelTests",
      swiftSettings: strict),
    .systemLibrary(
      name: "COpenBLAS", path: "Tests/COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .testTarget(
      name: "TensorsTests", dependencies: ["Tensors", "COpenBLAS"],
      path: "Tests/TensorsTests", swiftSettings: strict),
    .testTarget(
      name: "GGUFTests", dependencies: ["GGUF", "Tensors", "TestSupport"],
      path: "Tests/GGUFTests", swiftSettings: strict),
    .testTarget(
      name: "AdaptersTests", dependencies: ["Adapters", "GGUF", "Tensors", "TestSupport"],
      path: "Tests/AdaptersTests", swiftSettings: strict),
    .testTarget(
      name: "TokenizationTests", dependencies: ["Tokenization", "GGUF", "Tensors"],
      path: "Tests/TokenizationTests", swiftSettings: strict),
    .testTarget(
      name: "LlamaTests",
      dependencies: ["Generation", "Scoring", "Llama", "Adapters", "GGUF", "Tensors", "TestSupport", "ReferenceModel"],
      path: "Tests/LlamaTests", swiftSettings: strict),
    .testTarget(
      name: "GenerationTests", dependencies: ["Generation", "Llama", "Tokenization", "GGUF", "Tensors", "TestSupport"],
      path: "Tests/GenerationTests", swiftSettings: strict),
    .testTarget(
      name: "ScoringTests",
      dependencies: ["Generation", "Scoring", "Llama", "Adapters", "Tokenization", "GGUF", "Tensors", "TestSupport"],
      path: "Tests/ScoringTests", swiftSettings: strict),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "INPO", "Training", "Scoring", "Llama", "Adapters", "GGUF", "Tensors", "TestSupport", "ReferenceModel",
      ],
      path: "Tests/TrainingTests", swiftSettings: strict),
    .testTarget(
      name: "OraclesTests",
      dependencies: ["Oracles", "Scoring", "Llama", "Tokenization", "GGUF", "Tensors", "TestSupport"],
      path: "Tests/OraclesTests", swiftSettings: strict),
    .testTarget(
      name: "OutsideOraclesTests",
      dependencies: ["OutsideOracles", "Oracles", "Tokenization", "Tensors", "TestSupport"],
      path: "Tests/OutsideOraclesTests", exclude: ["preference_server.py"], swiftSettings: strict),
    .testTarget(
      name: "INPOTests",
      dependencies: [
        "INPO", "Oracles", "Training", "Generation", "Scoring", "Llama", "Adapters", "Tokenization", "GGUF", "Tensors",
        "TestSupport",
      ],
      path: "Tests/INPOTests", swiftSettings: strict),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "Oracles", "Scoring", "Generation", "Llama", "Adapters", "Tokenization", "GGUF", "Tensors",
        "TestSupport",
      ],
      path: "Tests/EvaluationTests", swiftSettings: strict),
    // Runs the built program.
    .testTarget(
      name: "CommandTests", dependencies: ["parley", "Llama", "Adapters", "GGUF", "Tensors", "TestSupport"],
      path: "Tests/CommandTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)
