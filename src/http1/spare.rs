//! What messages are read into and written from, kept for those that follow, so
//! that none is allocated in a steady state. One for each worker thread.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

use super::SpareFields;

/// Bytes there is room for in the buffer of a long body.
const LONG: usize = 512 * 1024;
/// Most buffers that wait for a long body.
const MOST_KEPT: usize = 4;

/// What is kept for the next message.
#[derive(Debug, Default)]
pub struct Spare {
    /// Fields of a head.
    pub fields: SpareFields,
    /// Buffers of a long body.
    pub buffers: SpareBuffers,
}

/// Buffers of 512 KiB for long bodies: the one that was in use last is
/// handed out first, so that one after the other is read into the same memory, which
/// is in the processor's cache. Fresh memory of that size costs more than what is
/// copied into it: the kernel clears it page by page.
#[derive(Debug, Default)]
pub struct SpareBuffers(RefCell<Vec<BytesMut>>);

impl SpareBuffers {
    /// An empty buffer.
    #[must_use]
    pub fn take(&self) -> BytesMut {
        let spare = self.0.borrow_mut().pop();
        spare.unwrap_or_else(|| BytesMut::with_capacity(LONG))
    }

    /// Takes a buffer back, whose content is done with. One that is not as long, or
    /// that somebody else has a part of, is let go.
    pub fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST_KEPT && buffer.try_reclaim(LONG) {
            spare.push(buffer);
        }
    }

    /// Takes the buffer of a piece back, which is done with.
    pub fn put_piece(&self, piece: Bytes) {
        if let Ok(buffer) = piece.try_into_mut() {
            self.put(buffer);
        }
    }

    /// Lets go of all that nobody uses.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    fn kept(spare: &SpareBuffers) -> usize {
        spare.0.borrow().len()
    }

    #[test]
    fn a_buffer_comes_back_whatever_has_been_done_with_it() {
        let spare = SpareBuffers::default();
        let mut buffer = spare.take();
        let address = buffer.as_ptr();
        for fill in [1, 1000, LONG] {
            buffer.extend_from_slice(&vec![b'x'; fill]);
            // All of it goes out in two steps, as from a socket that takes half of it.
            let mut piece = std::mem::take(&mut buffer).freeze();
            piece.advance(fill / 2);
            piece.advance(piece.len());
            spare.put_piece(piece);
            assert_eq!(kept(&spare), 1, "{fill}");
            buffer = spare.take();
            assert_eq!((buffer.as_ptr(), buffer.len()), (address, 0), "{fill}");
            assert_eq!(buffer.capacity(), LONG, "{fill}");
        }
        // Part of what came has been taken off its front.
        buffer.extend_from_slice(&[b'x'; 1000]);
        drop(buffer.split_to(400));
        spare.put(buffer);
        assert_eq!(spare.take().as_ptr(), address);
    }

    #[test]
    fn what_is_short_or_still_in_use_is_not_kept() {
        let spare = SpareBuffers::default();
        spare.put(BytesMut::with_capacity(LONG - 1));
        spare.put_piece(Bytes::from_static(b"x"));
        let mut buffer = spare.take();
        buffer.extend_from_slice(b"head and body");
        let head = buffer.split_to(5);
        spare.put(buffer);
        assert_eq!(kept(&spare), 0);
        assert_eq!(head, b"head "[..]);
    }

    #[test]
    fn few_are_kept_and_none_when_nobody_has_needed_them() {
        let spare = SpareBuffers::default();
        for _ in 0..2 * MOST_KEPT {
            spare.put(BytesMut::with_capacity(LONG));
        }
        assert_eq!(kept(&spare), MOST_KEPT);
        spare.clear();
        assert_eq!(kept(&spare), 0);
    }
}
