import Tensors
import Testing

struct MachinePeakTests {
  /// How high they are is the machine's affair.
  @Test(arguments: Kernels.available)
  func everyTableHasPeaks(table: String) {
    let peak = MachinePeak(measuring: kernels(table, threads: 2))
    for rate in [peak.int8Gops, peak.int16Gops, peak.fp32Gflops, peak.readGBs] {
      #expect(rate > 0 && rate.isFinite)
    }
    #expect(peak.operations(in: .f32) == 1e9 * peak.fp32Gflops)
    #expect(peak.operations(in: .int16) == 1e9 * peak.int16Gops)
    #expect(peak.operations(in: .int8) == 1e9 * peak.int8Gops)
  }

  @Test func theProcessorIsNamedAsTheSystemDoes() {
    #expect(Processor.name(cpuinfo: "processor\t: 0\nmodel name\t: A: B 3\nmodel name\t: C\n") == "A: B 3")
    #expect(Processor.name(cpuinfo: "processor\t: 0\nmodel name\t:\n") == nil)
    #expect(Processor.name(cpuinfo: "") == nil)
  }
}
