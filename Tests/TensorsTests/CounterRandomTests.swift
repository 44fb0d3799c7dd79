import Tensors
import Testing

/// Pinned values come from the same formula written in Python. They must never change: samples and initial adapters
/// are reproducible only as long as these are.
struct CounterRandomTests {
  @Test func bitsArePinned() {
    let plain = CounterRandom(seed: 0)
    #expect(plain.bits(0) == 0x9695_7a94_baef_186a)
    #expect(plain.bits(1) == 0xbd3d_e669_d0bb_a38f)
    #expect(plain.bits(.max) == 0xcc44_fc88_6e3c_8dc0)
    let keyed = CounterRandom(seed: 42, 1, 2)
    #expect(keyed.bits(0) == 0x5f86_8320_92ed_ec73)
    #expect(keyed.bits(1) == 0x622d_9d6a_0036_bed6)
    #expect(keyed.bits(1000) == 0x7d2c_cda1_fc48_3126)
  }

  @Test func orderOfKeysCounts() {
    #expect(CounterRandom(seed: 42, 2, 1).bits(0) == 0xdbc7_ba2d_559e_341a)
  }

  @Test func textKeysArePinned() {
    // The published FNV-1a test vectors.
    #expect(CounterRandom.key("") == 0xcbf2_9ce4_8422_2325)
    #expect(CounterRandom.key("a") == 0xaf63_dc4c_8601_ec8c)
    #expect(CounterRandom.key("foobar") == 0x8594_4171_f739_67e8)
  }

  @Test func uniformIsPinned() {
    #expect(CounterRandom(seed: 42, 1, 2).uniform(0) == 0.3731462435270526)
    #expect(CounterRandom(seed: 7, CounterRandom.key("blk.0.attn_q.weight")).uniform(3) == 0.5449700590541245)
  }

  @Test func uniformFillsTheUnitInterval() {
    let stream = CounterRandom(seed: 1, 2, 3)
    var counts = [Int](repeating: 0, count: 16)
    for counter in 0..<16384 {
      let value = stream.uniform(UInt64(counter))
      #expect(value >= 0 && value < 1)
      counts[Int(value * 16)] += 1
    }
    // Each count is binomial with mean 1024 and deviation √(1024 · 15/16) = 31; five deviations.
    for count in counts { #expect(abs(count - 1024) < 155) }
  }
}
