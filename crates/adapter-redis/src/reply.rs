//! A small reader of answers: what is not as the script wrote it is `Corrupt`, never a panic.

use hexmem_ports::{Error, Result, Timestamp};
use redis::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    operation: &'static str,
    value: Value,
}

impl Reply {
    pub(crate) fn new(operation: &'static str, value: Value) -> Self {
        Self { operation, value }
    }

    fn wrong(&self, wanted: &str) -> Error {
        // What it holds may be a secret or megabytes; what it is says enough.
        let found = match &self.value {
            Value::Nil => "nothing",
            Value::Int(_) => "a number",
            Value::BulkString(_) => "bytes",
            Value::Array(_) | Value::Set(_) => "a list",
            Value::SimpleString(_) | Value::Okay => "a status",
            Value::Map(_) => "a map",
            Value::ServerError(_) => "an error",
            _ => "something else",
        };
        Error::corrupt(
            self.operation,
            format!("Redis holds {found} where {wanted} was written; is the prefix shared?"),
        )
    }

    /// A list, to be read in order.
    pub(crate) fn list(self) -> Result<Fields> {
        let operation = self.operation;
        match self.value {
            Value::Array(items) | Value::Set(items) => {
                Ok(Fields { operation, items: items.into_iter() })
            }
            value => Err(Self { operation, value }.wrong("a list")),
        }
    }

    /// The answer, where there is one.
    pub(crate) fn some(self) -> Option<Self> {
        (self.value != Value::Nil).then_some(self)
    }

    /// Bytes.
    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        match self.value {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Okay => Ok(b"OK".to_vec()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            value => Err(Self { operation: self.operation, value }.wrong("bytes")),
        }
    }

    /// Text in UTF-8.
    pub(crate) fn text(self) -> Result<String> {
        let operation = self.operation;
        String::from_utf8(self.bytes()?)
            .map_err(|error| Error::corrupt(operation, "a text is no UTF-8").caused_by(error))
    }

    /// A whole number, as such or as decimal text.
    pub(crate) fn int(self) -> Result<i64> {
        match &self.value {
            Value::Int(number) => Ok(*number),
            Value::BulkString(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| self.wrong("a whole number")),
            _ => Err(self.wrong("a whole number")),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn uint(self) -> Result<u64> {
        let operation = self.operation;
        u64::try_from(self.int()?)
            .map_err(|_| Error::corrupt(operation, "a count in Redis is negative"))
    }

    /// Microseconds since 1970.
    pub(crate) fn time(self) -> Result<Timestamp> {
        let operation = self.operation;
        Timestamp::from_micros(self.int()?)
            .ok_or_else(|| Error::corrupt(operation, "a time in Redis lies beyond the calendar"))
    }
}

/// The items of a list, in order.
#[derive(Debug)]
pub(crate) struct Fields {
    operation: &'static str,
    items: std::vec::IntoIter<Value>,
}

impl Fields {
    /// The next item; `Corrupt` when there is none.
    pub(crate) fn item(&mut self) -> Result<Reply> {
        let operation = self.operation;
        let value = self.items.next().ok_or_else(|| {
            Error::corrupt(operation, "an answer of Redis is shorter than it was written")
        })?;
        Ok(Reply { operation, value })
    }

    /// The next item where it is not nil.
    pub(crate) fn optional(&mut self) -> Result<Option<Reply>> {
        Ok(self.item()?.some())
    }

    /// Whether the next item is nil, or there is none.
    pub(crate) fn is_nothing(&self) -> bool {
        self.items.as_slice().first().is_none_or(|item| *item == Value::Nil)
    }

    /// How many items are left.
    pub(crate) fn left(&self) -> usize {
        self.items.len()
    }
}

impl Iterator for Fields {
    type Item = Reply;

    fn next(&mut self) -> Option<Reply> {
        let operation = self.operation;
        self.items.next().map(|value| Reply { operation, value })
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::ErrorKind;

    use super::*;

    #[test]
    fn what_is_not_as_written_is_corrupt() {
        let of = |value| Reply::new("t", value);
        let corrupt =
            |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
        corrupt(of(Value::Nil).int().map(drop));
        corrupt(of(Value::BulkString(b"x".to_vec())).int().map(drop));
        corrupt(of(Value::Int(-1)).uint().map(drop));
        corrupt(of(Value::Int(i64::MAX)).time().map(drop));
        corrupt(of(Value::BulkString(vec![0xff])).text().map(drop));
        corrupt(of(Value::Int(1)).list().map(drop));
        let mut fields = of(Value::Array(vec![Value::Int(1)])).list().unwrap();
        assert_eq!((fields.left(), fields.item().unwrap().int().unwrap()), (1, 1));
        corrupt(fields.item().map(drop));
        assert!(of(Value::Nil).some().is_none());
    }
}
