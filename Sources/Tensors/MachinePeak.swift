/// What this machine can do at best, measured: the yardstick for the rates of real work.

import CKernels

public struct MachinePeak: Equatable, Sendable {
  /// 10⁹ operations a second in registers, on all threads, with the dot products the kernel table uses. A product and its
  /// addition are two operations.
  public let int8Gops: Double
  public let int16Gops: Double
  public let fp32Gflops: Double
  /// 10⁹ bytes a second from memory, far beyond the caches, on all threads.
  public let readGBs: Double

  /// Takes about two seconds and 256 MiB, which are free again afterwards. The best of several runs each: whatever
  /// disturbs a run makes it slower.
  public init(measuring kernels: Kernels) {
    int8Gops = Self.products(K_PEAK_INT8, kernels)
    int16Gops = Self.products(K_PEAK_INT16, kernels)
    fp32Gflops = Self.products(K_PEAK_FP32, kernels)
    readGBs = Self.reading(kernels)
  }

  /// Operations a second in the products of a precision.
  public func operations(in precision: Precision) -> Double {
    switch precision {
    case .f32: 1e9 * fp32Gflops
    case .int16: 1e9 * int16Gops
    case .int8: 1e9 * int8Gops
    }
  }

  private static let runs = 10

  private static func products(_ what: k_peak, _ kernels: Kernels) -> Double {
    var rounds: UInt64 = 1 << 12
    while seconds({ _ = k_peak_products(kernels.context, what, rounds) }) < 0.02 { rounds *= 2 }
    let rates = (0..<runs).map { _ in
      var operations: UInt64 = 0
      let time = seconds { operations = k_peak_products(kernels.context, what, rounds) }
      return Double(operations) / time / 1e9
    }
    return rates.reduce(0, max)
  }

  private static func reading(_ kernels: Kernels) -> Double {
    let memory = Buffer<UInt64>(count: 1 << 25)
    let bytes = memory.count * MemoryLayout<UInt64>.stride
    let rates = (0..<runs).map { _ in
      Double(bytes) / seconds { _ = k_peak_read(kernels.context, memory.pointer, bytes) } / 1e9
    }
    return rates.reduce(0, max)
  }

  private static func seconds(_ body: () -> Void) -> Double {
    (ContinuousClock().measure(body)) / .seconds(1)
  }
}
