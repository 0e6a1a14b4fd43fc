//! The part of the wire format of protocol buffers that traces need: numbers, text, and messages in messages.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message that is being encoded.
#[derive(Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

/// How the value of a field is encoded.
#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
}

impl Message {
    pub(super) fn number(mut self, field: u32, value: u64) -> Message {
        self.tag(field, WireType::Varint);
        self.varint(value);
        self
    }

    pub(super) fn fixed64(mut self, field: u32, value: u64) -> Message {
        self.tag(field, WireType::Fixed64);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub(super) fn text(self, field: u32, text: &str) -> Message {
        self.with_bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u32, message: &Message) -> Message {
        self.with_bytes(field, &message.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn with_bytes(mut self, field: u32, bytes: &[u8]) -> Message {
        self.tag(field, WireType::Length);
        self.varint(bytes.len() as u64);
        self.bytes.extend(bytes);
        self
    }

    fn tag(&mut self, field: u32, wire_type: WireType) {
        self.varint(u64::from(field) << 3 | wire_type as u64);
    }

    /// Each byte has seven bits of the value, and the lowest bits come first. The high bit of a byte is set if another byte
    /// follows.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples are from the page that is linked above.
    #[test]
    fn messages_are_encoded_as_the_specification_shows() {
        assert_eq!(Message::default().number(1, 150).bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").bytes(), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().fixed64(1, 1).bytes(), [0x09, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::default().number(1, u64::MAX).bytes().len(), 11);
    }
}
