//! Random input that is the same in each run, so that a change does not fail by chance. `PROPTEST_RNG_SEED` sets another seed, as
//! `ci/long` does.

use proptest::test_runner::{Config, RngSeed};

pub fn with_fixed_seed(config: Config) -> Config {
    match config.rng_seed {
        RngSeed::Random => Config { rng_seed: RngSeed::Fixed(1), ..config },
        RngSeed::Fixed(_) => config,
    }
}
