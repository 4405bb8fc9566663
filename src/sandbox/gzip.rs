//! A body in gzip (RFC 1952), for callers that accept it.
//!
//! Every byte becomes a literal of the fixed Huffman code (RFC 1951 §3.2.6): it makes nothing
//! shorter, and it is the real thing for whoever unpacks it. No text can be found in it by
//! looking for its bytes, as it could in stored blocks.

/// Packs `body` as one member.
pub(crate) fn pack(body: &[u8]) -> Vec<u8> {
    // Deflate, no flags, no time, no extra flags, unknown system.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits = Bits {
        out: &mut packed,
        pending: 0,
        count: 0,
    };
    // The last block (1), of the fixed code (01).
    bits.push(0b011, 3);
    for byte in body {
        let byte = u16::from(*byte);
        match byte {
            0..144 => bits.push_code(0x30 + byte, 8),
            _ => bits.push_code(0x190 + byte - 144, 9),
        }
    }
    // The end of the block.
    bits.push_code(0, 7);
    bits.finish();
    packed.extend_from_slice(&checksum(body).to_le_bytes());
    // The length modulo 2^32, as the format has it.
    let length = u32::try_from(body.len() & 0xffff_ffff).unwrap_or_default();
    packed.extend_from_slice(&length.to_le_bytes());
    packed
}

/// Bits from the lowest up, as deflate packs them.
struct Bits<'out> {
    out: &'out mut Vec<u8>,
    pending: u32,
    count: u32,
}

impl Bits<'_> {
    fn push(&mut self, bits: u16, count: u32) {
        self.pending |= u32::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            let [lowest, ..] = self.pending.to_le_bytes();
            self.out.push(lowest);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes travel with their highest bit first.
    fn push_code(&mut self, code: u16, count: u32) {
        self.push(code.reverse_bits() >> (16 - count), count);
    }

    fn finish(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}

/// CRC-32 as RFC 1952 §8 has it.
fn checksum(body: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_computes() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn bodies_are_packed_as_a_known_packer_does() {
        // Python: zlib.compressobj(strategy=Z_FIXED) of these, which finds nothing to repeat.
        for (body, deflated) in [
            (&b""[..], &[0x03, 0x00][..]),
            (b"{}", &[0xab, 0xae, 0x05, 0x00]),
            ("é".as_bytes(), &[0x3b, 0xbc, 0x12, 0x00]),
        ] {
            let packed = pack(body);
            assert_eq!(&packed[10..packed.len() - 8], deflated, "{body:?}");
            let length = u32::try_from(body.len()).unwrap();
            assert_eq!(packed[packed.len() - 4..], length.to_le_bytes());
        }
    }
}
