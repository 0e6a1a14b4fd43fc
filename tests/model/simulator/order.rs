//! The order of a round, as the documentation of simulated loops specifies it.

/// Puts the tasks of `round` into the order that `seed` draws for the round with this number. Returns whether that changes the order.
pub fn permute(round: &mut [usize], seed: u64, number: u64) -> bool {
    if seed == 0 {
        return false;
    }
    let before = round.to_vec();
    let mut state = seed;
    state = draw(&mut state).wrapping_add(number);
    for last in (1..round.len()).rev() {
        let below = u128::from(draw(&mut state)) * (last as u128 + 1);
        round.swap(last, (below >> 64) as usize);
    }
    round != before
}

/// The next number of SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let first = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}
