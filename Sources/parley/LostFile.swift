/// A mapped file that another program shortens: the system then ends whoever touches the part that is gone (SIGBUS). The program
/// says why first.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

enum LostFile {
  /// Calls nothing but `write` and `_exit`, which a handler may.
  static func listen() {
    let handler: @convention(c) (Int32) -> Void = { _ in
      let sentence: StaticString = """
        parley: A file in use, the model most likely, became shorter or cannot be read from its disk any more. Leave files \
        alone while they are used, check this one, and run the command again.

        """
      _ = write(STDERR_FILENO, sentence.utf8Start, sentence.utf8CodeUnitCount)
      _exit(ExitStatus.readOrWrite.rawValue)
    }
    var action = sigaction()
    #if canImport(Darwin)
      action.__sigaction_u.__sa_handler = handler
    #else
      action.__sigaction_handler.sa_handler = handler
    #endif
    sigaction(SIGBUS, &action, nil)
  }
}
