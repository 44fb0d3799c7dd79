/// Comparison with a number as it is printed: equal to half a unit of its last digit.

import Foundation

func agrees(_ value: Double, _ printed: String) -> Bool {
  let parts = printed.split(separator: "e")
  let digits = parts[0].split(separator: ".").dropFirst().first?.count ?? 0
  let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
  let unit = pow(10, Double(exponent - digits))
  // The small extra share is for binary rounding of the printed number itself.
  return abs(value - (Double(printed) ?? .nan)) <= unit * 0.5000001
}

func agree(_ values: [Double], _ printed: [String]) -> Bool {
  values.count == printed.count && zip(values, printed).allSatisfy(agrees)
}
