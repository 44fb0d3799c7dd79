/// Ctrl-C and the signal that asks a program to end: the first sets a flag that loops ask for, so that what is being written gets
/// finished; the second kills.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

enum Interrupt {
  /// Written by the handler alone, and only ever from 0 to 1.
  nonisolated(unsafe) private static var received: sig_atomic_t = 0

  static var isReceived: Bool { received != 0 }

  /// After the first signal of a kind the system's own handling returns. Reads that wait are ended by it.
  static func listen() {
    var action = sigaction()
    let handler: @convention(c) (Int32) -> Void = { _ in Interrupt.received = 1 }
    #if canImport(Darwin)
      action.__sigaction_u.__sa_handler = handler
    #else
      action.__sigaction_handler.sa_handler = handler
    #endif
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
      sigaction(number, &action, nil)
      sigaddset(&signals, number)
    }
    // Whoever started this program may have left them blocked.
    sigprocmask(SIG_UNBLOCK, &signals, nil)
    // A file beyond the limit of the process (`ulimit -f`) is then a failed write, with its sentence, like a full disk.
    signal(SIGXFSZ, SIG_IGN)
  }
}
