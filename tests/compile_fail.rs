//! What does not compile, and what the compiler says then: whole messages, compared.
//!
//! After a change that is meant, `TRYBUILD=overwrite cargo test --test compile_fail` writes them anew.

#[test]
fn mistakes_are_answered_in_writing() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
