//! The memory of tasks: blocks of a few sizes, which lie side by side in chunks.
//!
//! A program starts and ends tasks of few sizes all the time. Taking a block from a chunk, or giving it back, takes a tenth of
//! the instructions of a general allocator. A task never leaves its thread, so the chunks belong to the thread and need no lock.
//!
//! A thread has chunks while it has a loop. Without one, its tasks come from the global allocator. The first chunk of a size is
//! small, and each further one is larger. A chunk without tasks is freed, except for two chunks of each size: these are kept
//! until the last loop of the thread has ended. So a few tasks that start and end in turn do not make and free chunks.
//!
//! [`cell`](super::cell) and [`cold`](super::cold) use it.

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};

use super::state::State;

/// Tools that look for uses of freed memory have to see each task as an allocation of its own.
const IS_USED: bool = !cfg!(any(miri, fuzzing, tinyield_plain_memory));

/// The size of a block is a multiple of this, in bytes.
const STEP: usize = 16;
/// The size of the largest block, in bytes. Larger tasks come from the global allocator.
const MAX_BLOCK: usize = 512;
/// Each block begins with the pointer to its chunk. The task follows.
const PREFIX: usize = ALIGN;
/// The alignment of blocks and of tasks. A header has a `u64`.
const ALIGN: usize = align_of::<Chunk>();
/// The first chunk of a size has this number of blocks. Each further one has twice as many, up to [`MAX_BLOCKS`].
const MIN_BLOCKS: usize = 4;
const MAX_BLOCKS: usize = 128;

/// Allocates memory for a task or for a cold part. Also returns the bit `POOLED` if the memory is a block of a chunk, and no
/// bit otherwise.
#[inline(never)]
pub(super) fn allocate(layout: Layout) -> (NonNull<u8>, State) {
    let block = if IS_USED { POOL.try_with(|pool| pool.take(layout)).ok().flatten() } else { None };
    if let Some(block) = block {
        return (block, State::POOLED);
    }
    // SAFETY: neither a task, which has a header, nor a cold part has the size zero.
    let place = unsafe { alloc(layout) };
    (NonNull::new(place).unwrap_or_else(|| handle_alloc_error(layout)), State::empty())
}

/// Frees the memory of a task or of a cold part.
///
/// # Safety
///
/// `place` is the result of `allocate(layout)` on this thread, is not used any more, and is released once. `is_pooled` says whether
/// that call returned `POOLED`.
#[inline]
pub(super) unsafe fn release(place: NonNull<u8>, layout: Layout, is_pooled: bool) {
    if is_pooled {
        // SAFETY: by contract.
        unsafe { release_block(place) };
    } else {
        // SAFETY: by contract, `place` is from `alloc` with this layout.
        unsafe { dealloc(place.as_ptr(), layout) };
    }
}

/// # Safety
///
/// As for [`release`]. `place` is in a block of a chunk.
#[inline(never)]
unsafe fn release_block(place: NonNull<u8>) {
    // SAFETY: by contract, `place` is from the pool of this thread. If the pool is gone, the chunk leaks and is never used
    // again.
    let _ = POOL.try_with(|pool| unsafe { pool.give_back(place) });
}

/// While a value of this type exists, this thread has chunks.
pub(in crate::scheduler) struct InUse(PhantomData<*const ()>);

impl InUse {
    pub(in crate::scheduler) fn new() -> InUse {
        let _ = POOL.try_with(Pool::add_loop);
        InUse(PhantomData)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let _ = POOL.try_with(Pool::remove_loop);
    }
}

thread_local! {
    // The pool has no destructor. So, on targets with native thread-locals, it can be used for as long as the thread runs.
    static POOL: Pool = const { Pool::new() };
}

/// The chunks of a thread.
struct Pool {
    loops: Cell<usize>,
    /// The classes that have chunks: a bit for each.
    in_use: Cell<u32>,
    classes: [Class; MAX_BLOCK / STEP],
}

/// The chunks with blocks of one size.
struct Class {
    /// The first chunk in the list of chunks with free blocks. A chunk without tasks is in this list only if the list has no
    /// other chunk.
    open: Cell<Option<ChunkPtr>>,
    /// A chunk without tasks that is not in the list.
    spare: Cell<Option<ChunkPtr>>,
    chunks: Cell<usize>,
}

/// The head of a chunk. Its blocks follow.
#[repr(align(8))]
struct Chunk {
    /// The first free block. Each one points to the next.
    free: Cell<*mut Block>,
    /// How many blocks have a task.
    used: Cell<usize>,
    class: usize,
    layout: Layout,
    /// Its neighbours in the list of its class.
    before: Cell<Option<ChunkPtr>>,
    after: Cell<Option<ChunkPtr>>,
}

#[repr(C)]
struct Block {
    chunk: ChunkPtr,
    /// Used only while the block is free. Otherwise the task is at this address.
    next: *mut Block,
}

/// A pointer to a chunk that is not freed yet, with the right to use all of the chunk's memory. [`Pool::free`] takes such a
/// pointer. After that, no pointer to the chunk is used.
#[derive(Clone, Copy)]
struct ChunkPtr(NonNull<Chunk>);

impl Deref for ChunkPtr {
    type Target = Chunk;

    #[inline]
    fn deref(&self) -> &Chunk {
        // SAFETY: the chunk is not freed yet. The fields of its head that change are `Cell`s.
        unsafe { self.0.as_ref() }
    }
}

impl Chunk {
    /// Whether it has no neighbours in the list.
    fn is_alone(&self) -> bool {
        self.before.get().is_none() && self.after.get().is_none()
    }
}

impl Pool {
    const fn new() -> Pool {
        Pool {
            loops: Cell::new(0),
            in_use: Cell::new(0),
            classes: [const { Class { open: Cell::new(None), spare: Cell::new(None), chunks: Cell::new(0) } }; _],
        }
    }

    fn add_loop(&self) {
        self.loops.set(self.loops.get() + 1);
    }

    fn remove_loop(&self) {
        // The subtraction saturates. On targets without native thread-locals, the pool may be dropped before another
        // thread-local whose destructor drops a loop. That destructor gets a new pool, which has counted no loop.
        self.loops.set(self.loops.get().saturating_sub(1));
        if self.loops.get() == 0 {
            self.free_empty_chunks();
        }
    }

    /// Takes a block. `None` if the thread has no loop, or no class has blocks for this layout.
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if self.loops.get() == 0 || layout.align() > ALIGN {
            return None;
        }
        let index = (layout.size() + PREFIX - 1) / STEP;
        let class = self.classes.get(index)?;
        let chunk = match class.open.get() {
            Some(chunk) => chunk,
            None => self.open_chunk(index),
        };
        let block = chunk.free.get();
        // SAFETY: a chunk in the list has a free block, which holds the pointer to the next one.
        let next = unsafe { (*block).next };
        chunk.free.set(next);
        chunk.used.set(chunk.used.get() + 1);
        if next.is_null() {
            class.unlink(chunk);
        }
        // SAFETY: a block is longer than its prefix, and not at address zero.
        Some(unsafe { NonNull::new_unchecked(block.cast::<u8>().byte_add(PREFIX)) })
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// `place` is a result of [`take`](Pool::take) of this pool, is not used any more, and is given back once.
    #[inline]
    unsafe fn give_back(&self, place: NonNull<u8>) {
        // SAFETY: `take` returned the address behind the prefix of a block, with the right to use the whole chunk. Nobody else writes
        // the prefix. The chunk is not freed, because this block counts as used.
        let (block, chunk) = unsafe {
            let block = place.byte_sub(PREFIX).cast::<Block>().as_ptr();
            (block, (*block).chunk)
        };
        let next = chunk.free.get();
        // SAFETY: the task no longer exists, so its place in the block is free for the pointer. A block has `STEP` bytes or
        // more.
        unsafe { (*block).next = next };
        chunk.free.set(block);
        chunk.used.set(chunk.used.get() - 1);
        let was_full = next.is_null();
        if was_full || self.is_surplus(chunk) {
            self.update_list(chunk, was_full);
        }
    }

    /// Whether the chunk has no tasks and has to leave the list.
    #[inline]
    fn is_surplus(&self, chunk: ChunkPtr) -> bool {
        chunk.used.get() == 0 && (!chunk.is_alone() || self.loops.get() == 0)
    }

    /// Updates the list for `chunk`, which has just got a free block. A chunk that was full enters the list, and a surplus
    /// chunk leaves it.
    #[inline(never)]
    fn update_list(&self, chunk: ChunkPtr, was_full: bool) {
        let class = &self.classes[chunk.class];
        if was_full {
            if let Some(empty) = class.empty_in_list() {
                class.unlink(empty);
                self.retire(empty);
            }
            class.link(chunk);
        }
        if self.is_surplus(chunk) {
            class.unlink(chunk);
            self.retire(chunk);
        }
    }

    /// Keeps a chunk without tasks as the spare one, or frees it. The chunk is not in the list.
    fn retire(&self, chunk: ChunkPtr) {
        let spare = &self.classes[chunk.class].spare;
        if self.loops.get() != 0 && spare.get().is_none() {
            spare.set(Some(chunk));
        } else {
            self.free(chunk);
        }
    }

    #[inline(never)]
    fn free_empty_chunks(&self) {
        let mut in_use = self.in_use.get();
        while in_use != 0 {
            let class = &self.classes[in_use.trailing_zeros() as usize];
            in_use &= in_use - 1;
            if let Some(empty) = class.empty_in_list() {
                class.unlink(empty);
                self.free(empty);
            }
            if let Some(spare) = class.spare.take() {
                self.free(spare);
            }
        }
    }

    /// Puts a chunk into the empty list of a class.
    #[cold]
    #[inline(never)]
    fn open_chunk(&self, index: usize) -> ChunkPtr {
        let class = &self.classes[index];
        let chunk = class.spare.take().unwrap_or_else(|| self.new_chunk(index));
        class.open.set(Some(chunk));
        chunk
    }

    fn new_chunk(&self, index: usize) -> ChunkPtr {
        let class = &self.classes[index];
        let blocks = (MIN_BLOCKS << class.chunks.get().min(MAX_BLOCKS.ilog2() as usize)).min(MAX_BLOCKS);
        let size = (index + 1) * STEP;
        let layout = Layout::from_size_align(size_of::<Chunk>() + blocks * size, ALIGN).expect("a chunk is small");
        // SAFETY: the size is not zero.
        let place = unsafe { alloc(layout) };
        let chunk = ChunkPtr(NonNull::new(place.cast()).unwrap_or_else(|| handle_alloc_error(layout)));
        let mut free = null_mut();
        for number in (0..blocks).rev() {
            // SAFETY: the layout has room for this block behind the head. Its offset is a multiple of the alignment.
            unsafe {
                let block = place.byte_add(size_of::<Chunk>() + number * size).cast::<Block>();
                block.write(Block { chunk, next: free });
                free = block;
            }
        }
        let (before, after) = (Cell::new(None), Cell::new(None));
        // SAFETY: the memory begins with room for the head, and is aligned for it.
        unsafe {
            chunk.0.write(Chunk { free: Cell::new(free), used: Cell::new(0), class: index, layout, before, after })
        };
        class.chunks.set(class.chunks.get() + 1);
        self.in_use.set(self.in_use.get() | 1 << index);
        chunk
    }

    /// Frees a chunk without tasks, to which nothing points any more.
    fn free(&self, chunk: ChunkPtr) {
        let chunks = &self.classes[chunk.class].chunks;
        chunks.set(chunks.get().saturating_sub(1));
        if chunks.get() == 0 {
            self.in_use.set(self.in_use.get() & !(1 << chunk.class));
        }
        let layout = chunk.layout;
        // SAFETY: `new_chunk` took this memory with this layout. No block is used, and the chunk is neither in the list nor the spare
        // one, so it is not freed again.
        unsafe { dealloc(chunk.0.as_ptr().cast(), layout) };
    }
}

impl Class {
    /// The chunk without tasks in the list, if there is one.
    fn empty_in_list(&self) -> Option<ChunkPtr> {
        self.open.get().filter(|first| first.used.get() == 0)
    }

    fn link(&self, chunk: ChunkPtr) {
        let first = self.open.replace(Some(chunk));
        chunk.after.set(first);
        if let Some(first) = first {
            first.before.set(Some(chunk));
        }
    }

    fn unlink(&self, chunk: ChunkPtr) {
        let (before, after) = (chunk.before.take(), chunk.after.take());
        match before {
            Some(before) => before.after.set(after),
            None => self.open.set(after),
        }
        if let Some(after) = after {
            after.before.set(before);
        }
    }
}
