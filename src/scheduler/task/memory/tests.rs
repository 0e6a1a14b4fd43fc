use super::*;

/// A block that is filled with a number, so that a test notices if another block overlaps it.
struct Filled {
    place: NonNull<u8>,
    size: usize,
    number: u8,
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn fill(pool: &Pool, size: usize, number: u8) -> Filled {
    let place = pool.take(layout(size)).unwrap();
    assert!(place.cast::<u64>().is_aligned());
    // SAFETY: the block has this size.
    unsafe { place.write_bytes(number, size) };
    Filled { place, size, number }
}

impl Filled {
    fn give_back(self, pool: &Pool) {
        // SAFETY: the block has this size, and all of it was written.
        let bytes = unsafe { std::slice::from_raw_parts(self.place.as_ptr(), self.size) };
        assert!(bytes.iter().all(|&byte| byte == self.number));
        // SAFETY: it is from this pool, and the test does not use it again.
        unsafe { pool.give_back(self.place) };
    }
}

fn pool_of_a_loop() -> Pool {
    let pool = Pool::new();
    pool.add_loop();
    pool
}

fn chunks(pool: &Pool) -> usize {
    pool.classes.iter().map(|class| class.chunks.get()).sum()
}

/// Gives back every third block first, and then the others, last to first.
fn give_all_back(pool: &Pool, blocks: Vec<Filled>) {
    let mut others = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        if index % 3 == 0 { block.give_back(pool) } else { others.push(block) }
    }
    others.into_iter().rev().for_each(|block| block.give_back(pool));
}

#[test]
fn blocks_of_all_sizes_do_not_overlap_and_all_chunks_are_freed_in_the_end() {
    // Miri takes a second for each hundred blocks.
    let (number, rounds) = if cfg!(miri) { (300, 1) } else { (2000_usize, 3) };
    let pool = pool_of_a_loop();
    for round in 0..rounds {
        let blocks: Vec<_> =
            (0..number).map(|index| fill(&pool, 64 + index * 7 % (505 - 64), (index + round) as u8)).collect();
        assert!(chunks(&pool) > 28);
        give_all_back(&pool, blocks);
        // At most two of each of 28 sizes are left.
        assert!(chunks(&pool) <= 2 * 28, "{}", chunks(&pool));
    }
    pool.remove_loop();
    assert_eq!((chunks(&pool), pool.in_use.get()), (0, 0));
}

#[test]
fn a_thread_without_a_loop_has_no_blocks() {
    let pool = Pool::new();
    assert_eq!(pool.take(layout(64)), None);
}

#[test]
fn large_or_strongly_aligned_tasks_have_no_blocks() {
    let pool = pool_of_a_loop();
    assert_eq!(pool.take(layout(MAX_BLOCK - PREFIX + 1)), None);
    assert_eq!(pool.take(Layout::from_size_align(64, 16).unwrap()), None);
    fill(&pool, MAX_BLOCK - PREFIX, 1).give_back(&pool);
    pool.remove_loop();
    assert_eq!(chunks(&pool), 0);
}

#[test]
fn chunks_grow_with_the_number_of_tasks() {
    let pool = pool_of_a_loop();
    let blocks: Vec<_> = (0..4 + 8 + 16 + 32 + 64 + 128 + 128).map(|_| fill(&pool, 100, 1)).collect();
    assert_eq!(chunks(&pool), 7);
    give_all_back(&pool, blocks);
    pool.remove_loop();
    assert_eq!(chunks(&pool), 0);
}

#[test]
fn chunks_with_tasks_outlive_the_loop_and_are_freed_with_the_last_task() {
    let pool = pool_of_a_loop();
    let blocks: Vec<_> = (0..10).map(|_| fill(&pool, 100, 1)).collect();
    pool.remove_loop();
    assert_eq!(chunks(&pool), 2);
    // The end of another loop does not free these chunks either.
    pool.add_loop();
    pool.remove_loop();
    assert_eq!(chunks(&pool), 2);
    give_all_back(&pool, blocks);
    assert_eq!(chunks(&pool), 0);
}

/// This holds for any number of tasks that stay alive, and for any order in which the few others end.
#[test]
fn tasks_that_start_and_end_in_turn_make_no_chunks() {
    let pool = pool_of_a_loop();
    let mut held = Vec::new();
    for number in 0..40 {
        let take_and_give_back = |from_the_end: bool| {
            let mut blocks: Vec<_> = (0..3).map(|_| fill(&pool, 100, 2)).collect();
            if from_the_end {
                blocks.reverse();
            }
            blocks.into_iter().for_each(|block| block.give_back(&pool));
        };
        take_and_give_back(true);
        let before = chunks(&pool);
        for round in 0..10 {
            take_and_give_back(round % 2 == 0);
            assert_eq!(chunks(&pool), before, "{number} tasks");
        }
        held.push(fill(&pool, 100, 3));
    }
    give_all_back(&pool, held);
    pool.remove_loop();
    assert_eq!(chunks(&pool), 0);
}
