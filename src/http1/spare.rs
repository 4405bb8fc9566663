//! What messages are read into and written from, kept for those that follow, so
//! that none is allocated in a steady state. One for each worker thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::SpareFields;

/// Size of a buffer for a long body, in bytes.
const LONG: usize = 512 * 1024;
/// Size where memory does not allow as much.
const SHORT: usize = 16 * 1024;
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

impl Spare {
    /// Reads long bodies in shorter pieces while `most` bytes wait for receivers that do
    /// not take them.
    #[must_use]
    pub fn holding_at_most(most: usize) -> Self {
        let buffers = SpareBuffers {
            most_held: most,
            ..SpareBuffers::default()
        };
        Self {
            fields: SpareFields::default(),
            buffers,
        }
    }
}

/// A pool of 512 KiB buffers for long bodies. The one used last is handed out first, so
/// that one piece after the other is read into the same memory, which is in the
/// processor's cache. Fresh memory of that size costs more than what is copied into
/// it: the kernel clears it page by page.
///
/// A buffer whose content the receiver does not take stays occupied for as long as the
/// receiver likes. How much may be occupied so is bounded: see [`Spare::holding_at_most`].
#[derive(Debug)]
pub struct SpareBuffers {
    spare: RefCell<Vec<BytesMut>>,
    /// Bytes that are held.
    held: Rc<Cell<usize>>,
    most_held: usize,
}

/// Bytes that wait for a receiver that does not take them; until this is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    all: Rc<Cell<usize>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.bytes);
    }
}

impl Default for SpareBuffers {
    fn default() -> Self {
        Self {
            spare: RefCell::default(),
            held: Rc::default(),
            most_held: usize::MAX,
        }
    }
}

impl SpareBuffers {
    /// An empty buffer.
    #[must_use]
    pub fn take(&self) -> BytesMut {
        if self.held.get() >= self.most_held {
            return BytesMut::with_capacity(SHORT);
        }
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| BytesMut::with_capacity(LONG))
    }

    /// Counts `bytes` as held until the result is dropped.
    #[must_use]
    pub fn hold(&self, bytes: usize) -> Held {
        self.held.set(self.held.get() + bytes);
        Held {
            bytes,
            all: Rc::clone(&self.held),
        }
    }

    /// Takes back a buffer whose content is no longer needed. One that is shorter, or
    /// that is shared, is freed.
    pub fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_KEPT && buffer.try_reclaim(LONG) {
            spare.push(buffer);
        }
    }

    /// Takes back the buffer of a piece that is no longer needed.
    pub fn put_piece(&self, piece: Bytes) {
        if let Ok(buffer) = piece.try_into_mut() {
            self.put(buffer);
        }
    }

    /// Frees the buffers that are not in use.
    pub fn clear(&self) {
        self.spare.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    fn kept(spare: &SpareBuffers) -> usize {
        spare.spare.borrow().len()
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
    fn bodies_are_read_in_short_pieces_while_enough_is_held() {
        let Spare { buffers, .. } = Spare::holding_at_most(1000);
        buffers.put(buffers.take());
        let long = buffers.hold(999);
        assert_eq!(buffers.take().capacity(), LONG);
        let short = buffers.hold(1);
        assert_eq!(buffers.take().capacity(), SHORT);
        drop(long);
        assert_eq!(buffers.take().capacity(), LONG);
        drop(short);
        assert_eq!(buffers.held.get(), 0);
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
