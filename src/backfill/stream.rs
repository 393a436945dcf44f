//! The framing of streamed answers: length, checksum, message.
//!
//! Each message follows its length as a varint and a CRC-32C (Castagnoli) of four bytes, big
//! endian (`storage/remote/chunked.go` of Prometheus).

/// A message longer than this is not believed; Prometheus' own are of about 1 MB.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// The bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;

/// Why a stream cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The checksum differs.
    #[error(
        "message {number} of the stream is damaged: its checksum is {stated:08x}, not {found:08x}"
    )]
    Damaged {
        /// Counted from 1.
        number: usize,
        /// What the stream says.
        stated: u32,
        /// What the bytes give.
        found: u32,
    },
    /// A length makes no sense.
    #[error("message {number} of the stream says it is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong {
        /// Counted from 1.
        number: usize,
    },
    /// The stream breaks off.
    #[error("the stream breaks off in message {number}")]
    Broken {
        /// Counted from 1.
        number: usize,
    },
}

/// Takes messages out of a stream as its bytes come.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    n_taken: usize,
}

impl Frames {
    /// Adds bytes and calls `frame` with every message that is whole now.
    pub fn push<E: From<StreamError>>(
        &mut self,
        bytes: &[u8],
        mut frame: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes.extend_from_slice(bytes);
        let mut from = 0;
        while let Some((begins, ends)) = self.next_frame(&self.bytes[from..])? {
            let stated = from + begins - CHECKSUM_BYTES;
            let message = &self.bytes[from + begins..from + ends];
            let number = self.n_taken + 1;
            let stated = &self.bytes[stated..stated + CHECKSUM_BYTES];
            let stated = stated
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            let found = crc32c::crc32c(message);
            if found != stated {
                return Err(StreamError::Damaged {
                    number,
                    stated,
                    found,
                }
                .into());
            }
            frame(message)?;
            self.n_taken = number;
            from += ends;
        }
        self.bytes.drain(..from);
        Ok(())
    }

    /// Says that no more bytes come.
    pub fn finish(self) -> Result<(), StreamError> {
        let number = self.n_taken + 1;
        match self.bytes.is_empty() {
            true => Ok(()),
            false => Err(StreamError::Broken { number }),
        }
    }

    /// Returns where the first message of some bytes begins and ends, if it is whole.
    fn next_frame(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, StreamError> {
        let too_long = StreamError::TooLong {
            number: self.n_taken + 1,
        };
        let mut length = 0_usize;
        for (at, byte) in bytes.iter().enumerate() {
            let part = usize::from(byte & 0x7f);
            length |= part << (7 * at);
            if length > FRAME_BYTES_MAX || at > 4 {
                return Err(too_long);
            }
            if byte & 0x80 == 0 {
                let begins = at + 1 + CHECKSUM_BYTES;
                let ends = begins + length;
                return Ok((bytes.len() >= ends).then_some((begins, ends)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            let mut length = message.len();
            while length >= 0x80 {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(crc32c::crc32c(message).to_be_bytes());
            bytes.extend_from_slice(message);
        }
        bytes
    }

    fn read(bytes: &[u8], at_once: usize) -> Result<Vec<Vec<u8>>, StreamError> {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for part in bytes.chunks(at_once) {
            frames.push(part, |frame| {
                found.push(frame.to_vec());
                Ok::<(), StreamError>(())
            })?;
        }
        frames.finish().map(|()| found)
    }

    #[test]
    fn messages_come_out_whole_however_the_bytes_come_in() {
        let long = vec![7; 1_000];
        let messages: [&[u8]; 4] = [b"one", b"", &long, b"four"];
        let bytes = framed(&messages);
        for at_once in [1, 2, 3, 7, 500, bytes.len()] {
            assert_eq!(read(&bytes, at_once).unwrap(), messages, "{at_once}");
        }
    }

    #[test]
    fn what_is_damaged_or_breaks_off_is_said() {
        let bytes = framed(&[b"one", b"two"]);
        assert_eq!(
            read(&bytes[..bytes.len() - 1], 5),
            Err(StreamError::Broken { number: 2 })
        );
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() = b'a';
        let error = read(&damaged, 5).unwrap_err();
        assert!(
            matches!(error, StreamError::Damaged { number: 2, .. }),
            "{error}"
        );
        assert_eq!(read(&[0xff; 9], 3), Err(StreamError::TooLong { number: 1 }));
    }
}
