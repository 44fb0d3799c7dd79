/// A token's place in the vocabulary. Here in row 0, since tokenizer and model do not know each other.
public typealias TokenID = UInt32
