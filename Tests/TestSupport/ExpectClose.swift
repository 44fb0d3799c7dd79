import Testing

/// Every value of `got` lies within `absolute + relative · |want|` of its partner; reports the worst one.
///
/// With both tolerances 0 the values must be equal. A NaN is close to nothing.
public func expectClose<Got: BinaryFloatingPoint, Want: BinaryFloatingPoint>(
  _ got: [Got], _ want: [Want], absolute: Double = 0, relative: Double = 0, _ comment: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard got.count == want.count else {
    Issue.record("\(comment) \(got.count) values, wanted \(want.count)", sourceLocation: sourceLocation)
    return
  }
  var worst: (index: Int, excess: Double)?
  for index in got.indices {
    let (g, w) = (Double(got[index]), Double(want[index]))
    if g == w { continue }
    let distance = abs(g - w) - (absolute + relative * abs(w))
    let excess = distance.isNaN ? .infinity : distance
    if excess > 0, excess > worst?.excess ?? 0 { worst = (index, excess) }
  }
  if let worst {
    let (g, w) = (Double(got[worst.index]), Double(want[worst.index]))
    Issue.record(
      "\(comment) worst at \(worst.index): got \(g), wanted \(w), off by \(abs(g - w))",
      sourceLocation: sourceLocation)
  }
}

/// One value: see the list form.
public func expectClose<Got: BinaryFloatingPoint, Want: BinaryFloatingPoint>(
  _ got: Got, _ want: Want, absolute: Double = 0, relative: Double = 0, _ comment: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  expectClose([got], [want], absolute: absolute, relative: relative, comment, sourceLocation: sourceLocation)
}
