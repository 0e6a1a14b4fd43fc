use super::*;

fn references(reason: &Cancelled) -> usize {
    // The clone in the next line is one more reference.
    Arc::strong_count(&reason.clone().into_shared()) - 1
}

#[test]
fn a_reason_is_released_with_its_task() {
    let reason = Cancelled::new(Reason::Aborted);
    let extra = Extra::of_reason(reason.clone());
    assert!(extra.is_reason() && !extra.is_none() && extra.cold().is_none());
    assert_eq!(references(&reason), 2);
    drop(extra);
    assert_eq!(references(&reason), 1);
}

#[test]
fn a_reason_moves_to_the_cold_part() {
    let reason = Cancelled::new(Reason::Aborted);
    let location = Location::caller();
    let mut extra = Extra::of_reason(reason.clone());
    extra.cold_or_new(location).held_by = 7;
    assert!(!extra.is_reason() && !extra.is_none());
    assert_eq!(references(&reason), 2);
    let cold = extra.cold().unwrap();
    let Some(Failure::Cancelled(moved, at)) = &cold.failure else { panic!("the reason has moved") };
    assert!(*moved == reason && std::ptr::eq(*at, location));
    // The second call returns the same cold part.
    assert_eq!(extra.cold_or_new(location).held_by, 7);
    drop(extra);
    assert_eq!(references(&reason), 1);
}

#[test]
fn an_empty_extra_has_no_cold_part_until_one_is_made() {
    let mut extra = Extra::default();
    assert!(extra.is_none() && !extra.is_reason() && extra.cold_mut().is_none() && extra.take_reason().is_none());
    let cold = extra.cold_or_new(Location::caller());
    assert!(cold.failure.is_none());
    cold.name = Some("a name of its own".to_string().into());
    assert!(extra.cold().is_some() && extra.take_reason().is_none());
}
