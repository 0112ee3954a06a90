//! Numbers in few bytes: seven bits a byte, the low ones first, the high bit says that more follow.

pub(super) fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// The number at the front, and what follows; `None` where there is none.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [byte @ 0..0x80, rest @ ..] = bytes {
        return Some((u64::from(*byte), rest));
    }
    let mut number = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(i).ok()? * 7)?;
        if *byte < 0x80 {
            return Some((number, &bytes[i + 1..]));
        }
    }
    None
}

/// A number that fits 32 bits.
#[inline]
pub(super) fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = take(bytes)?;
    Some((u32::try_from(number).ok()?, rest))
}

/// A number that is a length within what follows; gives that many bytes and what follows them.
pub(super) fn take_slice(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = take(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// `count` numbers of 4 bytes, and what follows.
pub(super) fn take_floats(bytes: &[u8], count: usize) -> Option<(&[[u8; 4]], &[u8])> {
    let (floats, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
    Some((floats.as_chunks().0, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_refuses_the_rest() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| push(&mut bytes, *number));
        let mut rest = bytes.as_slice();
        for number in numbers {
            let (read, after) = take(rest).unwrap();
            assert_eq!(read, number);
            rest = after;
        }
        assert!(take(rest).is_none());
        assert!(take(&[0x80; 3]).is_none());
        assert!(take(&[0xff; 20]).is_none());
        assert!(take_slice(&[5, 1, 2]).is_none());
        assert!(take_floats(&[0; 7], 2).is_none());
    }
}
