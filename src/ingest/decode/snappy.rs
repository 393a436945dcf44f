//! The snappy block around a body: checked against the limit before anything is allocated.

use crate::ingest::decode::wire::DecodeError;

/// A snappy copy of 3 bytes yields at most 64: no honest block grows more than this many times.
const EXPANSION_MAX: usize = 22;

/// Decompresses `body` into `buffer`, which only ever grows, and returns the plain bytes.
pub fn decompress<'a>(
    body: &[u8],
    decoded_bytes_max: usize,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], DecodeError> {
    let declared =
        snap::raw::decompress_len(body).map_err(|e| DecodeError::Snappy(e.to_string()))?;
    if declared > decoded_bytes_max {
        return Err(DecodeError::TooLarge {
            declared,
            limit: decoded_bytes_max,
        });
    }
    // A few bytes that claim to be a hundred megabytes: refused before making room for them.
    if declared > body.len().saturating_mul(EXPANSION_MAX) {
        return Err(DecodeError::Snappy(format!(
            "corrupt input: {} bytes cannot hold {declared}",
            body.len()
        )));
    }
    if buffer.len() < declared {
        buffer.resize(declared, 0);
    }
    let n = snap::raw::Decoder::new()
        .decompress(body, &mut buffer[..declared])
        .map_err(|e| DecodeError::Snappy(e.to_string()))?;
    Ok(&buffer[..n])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_before_room_is_made() {
        let mut buffer = Vec::new();
        let plain = vec![7u8; 1 << 20];
        let body = snap::raw::Encoder::new()
            .compress_vec(&plain)
            .expect("compresses");
        assert_eq!(decompress(&body, 1 << 20, &mut buffer), Ok(&plain[..]));
        let mut buffer = Vec::new();
        let refused = decompress(&body, (1 << 20) - 1, &mut buffer);
        assert!(matches!(refused, Err(DecodeError::TooLarge { .. })));

        // A header of 100 MB before nothing.
        let mut bomb = vec![0x80, 0xc2, 0xd7, 0x2f];
        bomb.extend([0; 16]);
        let mut untouched = Vec::new();
        let refused = decompress(&bomb, 1 << 30, &mut untouched);
        assert!(matches!(refused, Err(DecodeError::Snappy(_))));
        assert_eq!(untouched.capacity(), 0);
    }

    #[test]
    fn what_is_no_snappy_is_refused() {
        let check = |body: &[u8]| {
            let mut buffer = Vec::new();
            let refused = decompress(body, 1 << 20, &mut buffer);
            assert!(matches!(refused, Err(DecodeError::Snappy(_))), "{body:?}");
        };
        check(&[]);
        check(b"garbage, plain text");
        check(&[0xff; 32]);
        let mut cut = snap::raw::Encoder::new()
            .compress_vec(&[1, 2, 3, 4, 5, 6, 7, 8])
            .expect("compresses");
        cut.truncate(cut.len() - 1);
        check(&cut);
    }
}
