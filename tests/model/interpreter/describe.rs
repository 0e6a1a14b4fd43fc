//! The words of the log for the output of a wait and for errors. The simulator uses the same words.

use tinyield::{Aborted, Deadlock, Error, LoopError, Panic, Reason, TimedOut};

use super::waits::{LeafOutput, PartOutput, PartsOutput};
use super::world::Emitted;

pub fn describe(output: &PartOutput, caught: &mut Option<Error>) -> String {
    match output {
        (Some(value), ..)
        | (_, Some(value), ..)
        | (_, _, Some(value), ..)
        | (.., Some(value), _, _)
        | (.., (Some(value), ..))
        | (.., (_, Some(Ok(value)), ..)) => format!("gets c{value}"),
        (.., (_, Some(Err(Aborted)), ..)) => "aborted".to_string(),
        (.., (_, _, Some(next), _)) => describe_next(next.as_ref()),
        (.., (.., Some(()))) => "emitted".to_string(),
        (_, _, _, Some(()), ..) => describe_leaf(&(Some(()), None, None)),
        (_, _, _, _, Some(()), ..) => describe_leaf(&(None, Some(()), None)),
        (_, _, _, _, _, Some(set), ..) => describe_leaf(&(None, None, Some(*set))),
        (_, _, _, _, _, _, Some(_), ..) => "gets a permit".to_string(),
        (_, _, _, _, _, _, _, Some(Ok(value)), ..) => format!("gets c{value}"),
        (_, _, _, _, _, _, _, _, Some(Ok(output)), ..) => describe_leaf(output),
        (_, _, _, _, _, _, _, Some(Err(TimedOut)), ..) | (_, _, _, _, _, _, _, _, Some(Err(TimedOut)), ..) => {
            "timed out".to_string()
        }
        (.., Some(Ok(value)), _) => format!("gets c{value}"),
        (.., Some(Err(failed)), _) => {
            *caught = Some(Error::from(failed.clone()));
            format!("gets {}", loop_error_text(failed))
        }
        _ => "had a turn".to_string(),
    }
}

pub fn describe_next(next: Option<&Emitted>) -> String {
    next.map_or("finds the end".to_string(), |(id, at)| format!("receives c{id}.{at}"))
}

pub fn describe_leaf(output: &LeafOutput) -> String {
    match output {
        (Some(()), ..) => "slept",
        (_, Some(()), _) | (.., Some(true)) => "sees the event",
        (.., Some(false)) => "does not see the event",
        _ => "had a turn",
    }
    .to_string()
}

pub fn describe_result<T>(
    output: &Result<T, Error>,
    caught: &mut Option<Error>,
    describe: impl FnOnce(&T, &mut Option<Error>) -> String,
) -> String {
    match output {
        Ok(output) => describe(output, caught),
        Err(error) => {
            *caught = Some(error.clone());
            format!("catches {}", error_text(error))
        }
    }
}

pub fn describe_all(output: &PartsOutput, caught: &mut Option<Error>) -> String {
    let mut texts = Vec::new();
    for part in output {
        texts.push(match part {
            (Some(output), _) => describe(output, caught),
            (_, Some(output)) => describe_result(output, caught, describe),
            _ => unreachable!("each part has one of the two"),
        });
    }
    format!("[{}]", texts.join(", "))
}

pub fn loop_error_text(error: &LoopError) -> String {
    let mut others: Vec<_> = error.others().iter().map(error_text).collect();
    others.sort();
    format!("error {} with [{}]", error_text(error.error()), others.join(", "))
}

fn error_text(error: &Error) -> String {
    if let Some(cancelled) = error.as_cancelled() {
        return match cancelled.reason() {
            Reason::Failed { name, .. } => format!("cancelled(failed {name})"),
            Reason::TimedOut => "cancelled(timed out)".to_string(),
            Reason::Raced => "cancelled(raced)".to_string(),
            Reason::Aborted => "cancelled(aborted)".to_string(),
            Reason::Stopped => "cancelled(stopped)".to_string(),
            Reason::Dropped => "cancelled(dropped)".to_string(),
        };
    }
    if let Some(inner) = error.downcast_ref::<LoopError>() {
        return format!("again({})", loop_error_text(inner));
    }
    if error.downcast_ref::<Panic>().is_some() {
        return "panic".to_string();
    }
    if let Some(deadlock) = error.downcast_ref::<Deadlock>() {
        let stuck: Vec<_> = deadlock.stuck().iter().map(|stuck| stuck.frame().name()).collect();
        let cycle = if deadlock.cycle().is_empty() { "" } else { "cycle " };
        return format!("deadlock({cycle}{})", stuck.join(" "));
    }
    let text = error.to_string();
    let name = text.split('`').nth(1).unwrap_or_default();
    for (words, short) in [
        ("answered its cancellation", "answers"),
        ("times in a row and went on", "swallows"),
        ("waited behind a shield for what can no longer come", "is stuck"),
    ] {
        if text.contains(words) {
            return format!("{name} {short}");
        }
    }
    text
}
