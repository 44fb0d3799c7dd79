import Foundation
import Tokenization

/// The entry libFuzzer calls with each input. PARLEY_FUZZ chooses what the bytes are taken for; each kind is a function
/// that must return, whatever it is given. A crash, a trap, a sanitizer's report or a pass of many seconds is a finding.

enum Kind: String, CaseIterable {
  case gguf, template, text

  static let chosen: Kind = {
    let name = ProcessInfo.processInfo.environment["PARLEY_FUZZ"] ?? ""
    guard let kind = Kind(rawValue: name) else {
      fatalError("PARLEY_FUZZ is '\(name)', not one of \(allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return kind
  }()

  func take(_ bytes: [UInt8]) {
    switch self {
    case .gguf: Files.open(bytes)
    case .template: Templates.render(bytes)
    case .text: Texts.encode(bytes)
    }
  }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  Kind.chosen.take(Array(UnsafeBufferPointer(start: data, count: count)))
  return 0
}

/// SwiftPM makes `main` another name of this.
@_cdecl("Fuzz_main")
public func main(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
  var (count, arguments) = (count, arguments)
  return runDriver(&count, &arguments, testOneInput)
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt
