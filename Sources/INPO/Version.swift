public enum ParleyVersion {
  /// The version of the library and the program.
  public static let current = "0.1.0"
}
