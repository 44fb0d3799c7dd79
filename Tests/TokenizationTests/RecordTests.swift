import Foundation
import Testing
import Tokenization

private func roundTrip<Record: Codable>(_: Record.Type, _ line: String) throws -> String {
  let records = try JSONLines.parse(Record.self, Data(line.utf8), file: "t")
  return String(decoding: try JSONLines.line(records[0]), as: UTF8.self).trimmingCharacters(in: .newlines)
}

@Test func promptsKeepUnknownFields() throws {
  for line in [
    #"{"prompt":"Héllo / \"you\" 😀"}"#, #"{"id":"a-1","prompt":"p","tags":["x",1,2.5,null,true,{"k":-3}]}"#,
    #"{"big":18446744073709551615,"id":9007199254740993,"prompt":[{"content":"c","role":"user"}]}"#,
  ] { #expect(try roundTrip(PromptRecord.self, line) == line) }
}

@Test func turnsToolsAndUnknownObjectsKeepTheirOrder() throws {
  let line =
    #"{"chat_template_kwargs":{"z":1.0,"a":[null,false,-0.5,1e+30]},"meta":{"b":{"y":1,"x":2},"a":"\u001f\"\\/\n"},"prompt":[{"role":"user","name":"Zoë","content":"c"},{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"unit":"C","city":"Rom"}},"id":"1"}]},{"tool_call_id":"1","role":"tool","content":"21"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"required":["city"],"properties":{"unit":{},"city":{}}}}}]}"#
  #expect(try roundTrip(PromptRecord.self, line) == line)
  let pair = #"{"chosen":"c","prompt":"p","rejected":"r","tools":[{"b":1,"a":2}]}"#
  #expect(try roundTrip(PairRecord.self, pair) == pair)
  // Python's rule for a name that comes twice; Foundation agrees.
  #expect(
    try roundTrip(PromptRecord.self, #"{"prompt":"p","m":{"a":1,"b":2,"a":3}}"#) == #"{"m":{"a":3,"b":2},"prompt":"p"}"#
  )
}

@Test func textIsReadAsItIsWritten() throws {
  let line = #"{"m":"\u00e9\ud83d\ude42 \/ \t","n":[18446744073709551615,-9223372036854775808,0.0,-1E-2],"prompt":"p"}"#
  let record = try JSONLines.parse(PromptRecord.self, Data(line.utf8), file: "t")[0]
  #expect(record.extra["m"] == .string("é🙂 / \t"))
  #expect(record.extra["n"] == .array([.unsigned(.max), .integer(.min), .number(0), .number(-0.01)]))
}

@Test func whatTemplatesCannotTakeIsNamed() throws {
  for (bad, reason) in [
    (#""tools":{"a":1}"#, "field 'tools': 'tools' must be a list of tools in JSON, or the text of such a list"),
    (#""tools":"{}""#, "field 'tools': 'tools' must be a list of tools in JSON, or the text of such a list"),
    (
      #""chat_template_kwargs":[1]"#,
      "field 'chat_template_kwargs': 'chat_template_kwargs' must be a JSON object with the template's variables"
    ),
    (
      #""chat_template_kwargs":{"messages":[]}"#,
      "field 'chat_template_kwargs': the template variable 'messages' is set by the program and cannot be given"
    ),
  ] {
    #expect(throws: RecordError.badLine(file: "f", line: 1, reason: reason)) {
      try JSONLines.parse(PromptRecord.self, Data(#"{"prompt":"p",\#(bad)}"#.utf8), file: "f")
    }
  }
  for turn in [#"{"role":"assistant","content":null}"#, #"{"content":"x"}"#, #"{"role":"user","content":3}"#] {
    #expect(throws: RecordError.self) {
      try JSONLines.parse(PromptRecord.self, Data(#"{"prompt":[\#(turn)]}"#.utf8), file: "f")
    }
  }
}

@Test func responsesKeepUnknownFields() throws {
  let line =
    #"{"id":3,"mine":{"a":[]},"prompt":"p","prompt_ids":[1,5],"responses":[{"finish":"length","judge":0.5,"logp":-1.5,"logps":[-1,-0.5],"text":"t","token_ids":[4,9]}],"z":"w"}"#
  #expect(try roundTrip(ResponseRecord.self, line) == line)
  let records = try JSONLines.parse(ResponseRecord.self, Data(line.utf8), file: "t")
  #expect(records[0].prompt.extra == ["mine": .object(["a": .array([])]), "z": .string("w")])
  #expect(records[0].responses[0].extra == ["judge": .number(0.5)])
}

@Test func pairsKeepEverything() throws {
  let line =
    #"{"chosen":"c","chosen_ids":[2],"chosen_win_rate":0.875,"id":"x","last_chosen_logps":-3.25,"last_fingerprint":"ab","last_rejected_logps":-4,"margin":1.5,"probability":0.75,"prompt":"p","prompt_ids":[1],"reference_chosen_logps":-1,"reference_fingerprint":"cd","reference_rejected_logps":-2,"rejected":"r","rejected_ids":[3],"rejected_win_rate":0.25}"#
  #expect(try roundTrip(PairRecord.self, line) == line)
}

@Test func examplesInTheirShapes() throws {
  let written = #"{"chosen":"c","chosen_ids":[2],"prompt":"p","rejected":"r"}"#
  #expect(try roundTrip(ExampleRecord.self, written) == written, "a pair is an example, and stays a pair")
  for name in ["response", "completion"] {
    #expect(try roundTrip(ExampleRecord.self, #"{"prompt":"p","\#(name)":"c"}"#) == #"{"chosen":"c","prompt":"p"}"#)
  }
  let turns = #"{"role":"user","content":"p"},{"role":"assistant","content":"c"}"#
  #expect(
    try roundTrip(ExampleRecord.self, #"{"messages":[\#(turns)]}"#)
      == #"{"chosen":[{"role":"assistant","content":"c"}],"prompt":[{"role":"user","content":"p"}]}"#)
  for (bad, says) in [
    (#"{"prompt":"p"}"#, "field 'chosen': there must be one answer, as chosen, response or completion, not 0"),
    (
      #"{"prompt":"p","chosen":"a","response":"b"}"#,
      "field 'chosen': there must be one answer, as chosen, response or completion, not 2"
    ),
    (
      #"{"messages":[{"role":"user","content":"p"}]}"#,
      "field 'messages': the last of several turns must be the assistant's"
    ),
  ] {
    #expect(throws: RecordError.badLine(file: "f", line: 1, reason: says)) {
      try JSONLines.parse(ExampleRecord.self, Data(bad.utf8), file: "f")
    }
  }
}

@Test func numbersReadBackToTheSameBits() throws {
  var bits: UInt64 = 0x1234_5678_9ABC_DEF0
  var floats: [Float] = [0, -.leastNonzeroMagnitude, -.leastNormalMagnitude, -16_777_215, -0.1, -1e-10, -3.4e38]
  var sums: [Double] = [0, -.leastNonzeroMagnitude, -1e300, -0.1]
  while floats.count < 2000 {
    bits = bits &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    let (float, double) = (Float(bitPattern: UInt32(bits >> 32)), Double(bitPattern: bits))
    if float.isFinite { floats.append(float) }
    if double.isFinite { sums.append(double) }
  }
  let responses = sums.map { Response(text: "", tokenIDs: [], logp: $0, logps: floats, finish: .stop) }.prefix(3)
  let record = ResponseRecord(prompt: PromptRecord(prompt: .text("")), responses: Array(responses))
  let back = try JSONLines.parse(ResponseRecord.self, JSONLines.line(record), file: "t")[0]
  #expect(back.responses.allSatisfy { $0.logps?.map(\.bitPattern) == floats.map(\.bitPattern) })
  for sum in sums {
    let one = PairRecord(prompt: .text(""), chosen: .text(""), rejected: .text(""), extra: ["sum": .number(sum)])
    var frozen = one
    frozen.lastChosenLogps = sum
    let again = try JSONLines.parse(PairRecord.self, JSONLines.line(frozen), file: "t")[0]
    #expect(again.lastChosenLogps?.bitPattern == sum.bitPattern)
  }
}

@Test func badLinesAreNamed() throws {
  let good = #"{"prompt":"p","chosen":"c","rejected":"r"}"#
  for (bad, reason) in [
    ("{\"prompt\":\"p\",", "it is not valid JSON"), ("[1]", "it is not a JSON object"),
    (#"{"prompt":"p","chosen":"c"}"#, "field 'rejected' is missing"),
    (#"{"prompt":3,"chosen":"c","rejected":"r"}"#, "field 'prompt' has the wrong type"),
    (#"{"prompt":[{"role":"user"}],"chosen":"c","rejected":"r"}"#, "field 'prompt.0.content' is missing"),
    (
      #"{"prompt":"p","chosen":"c","rejected":"r","probability":1.5}"#,
      "field 'probability': 1.5 is not between 0 and 1"
    ),
  ] {
    let text = "\(good)\r\n\n  \n\(good)\n\(bad)\n\(good)"
    #expect(throws: RecordError.badLine(file: "pairs.jsonl", line: 5, reason: reason)) {
      try JSONLines.parse(PairRecord.self, Data(text.utf8), file: "pairs.jsonl")
    }
  }
}

@Test func notANumberCannotBeWritten() throws {
  var pair = PairRecord(prompt: .text("p"), chosen: .text("c"), rejected: .text("r"))
  pair.lastChosenLogps = .nan
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).jsonl").path
  #expect(
    throws: RecordError.notEncodable(
      file: path, record: 2, reason: "field 'last_chosen_logps' is not a finite number")
  ) {
    try JSONLines.write([PairRecord(prompt: .text(""), chosen: .text(""), rejected: .text("")), pair], to: path)
  }
  #expect(!FileManager.default.fileExists(atPath: path))
}

@Test func filesReadBack() throws {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).jsonl").path
  let records = (0..<5).map { PromptRecord(id: .integer($0), prompt: .text("line \($0)\nsecond")) }
  try JSONLines.write(records, to: path)
  #expect(try JSONLines.read(PromptRecord.self, from: path) == records)
  try FileManager.default.removeItem(atPath: path)
}
