import Tensors
import Testing

struct ThreadCountTests {
  @Test func twoThreadsOfACoreCountOnce() {
    let cpuinfo = """
      processor\t: 0
      physical id\t: 0
      core id\t\t: 0

      processor\t: 1
      physical id\t: 0
      core id\t\t: 1

      processor\t: 2
      physical id\t: 0
      core id\t\t: 0

      processor\t: 3
      physical id\t: 1
      core id\t\t: 0
      """
    #expect(ThreadCount.physicalCores(cpuinfo: cpuinfo) == 3)
    #expect(ThreadCount.physicalCores(cpuinfo: "processor : 0\nBogoMIPS : 100\n") == nil)
  }

  @Test func aQuotaIsTimeOverPeriod() {
    #expect(ThreadCount.quota(cpuMax: "150000 100000\n") == 1.5)
    #expect(ThreadCount.quota(cpuMax: "max 100000\n") == nil)
    #expect(ThreadCount.quota(cpuMax: "-1\n 100000\n") == nil)
    #expect(ThreadCount.quota(cpuMax: "") == nil)
  }

  @Test func thereIsAlwaysOne() { #expect(ThreadCount.automatic >= 1) }
}
