//! What several targets do with the bytes they get.

/// `wire` cut at places that follow from `seed`; one byte each for 0.
pub fn pieces(wire: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut cut, mut rest, mut state) = (Vec::new(), wire, u32::from(seed));
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(u32::from(seed));
        let length = 1 + (state >> 24) as usize % 40;
        let length = if seed == 0 { 1 } else { length.min(rest.len()) };
        let (piece, after) = rest.split_at(length);
        cut.push(piece);
        rest = after;
    }
    cut
}

/// `text` without its percent-encoding; what is no escape stays.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        decoded.push(match (byte, digit(at), digit(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                u8::try_from(high * 16 + low).unwrap()
            }
            _ => *byte,
        });
    }
    decoded
}
