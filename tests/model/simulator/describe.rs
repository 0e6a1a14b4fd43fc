//! The names of coroutines, and the words of the log. The interpreter uses the same words.

use super::Simulator;
use super::state::{Awaited, Failure, Scope, ScopeId, ScopeKind, TaskId, WaitPart, Work};

impl<'a> Simulator<'a> {
    pub(super) fn name(&self, task: TaskId) -> String {
        match self.tasks[task].work {
            Work::Body(body) => format!("c{}", body.id),
            _ => String::new(),
        }
    }

    pub(super) fn is_internal(&self, task: TaskId) -> bool {
        !matches!(self.tasks[task].work, Work::Body(_))
    }

    /// Logs for the statement where `task` is.
    pub(super) fn log(&mut self, task: TaskId, what: &str) {
        if !self.is_internal(task) {
            let line = format!("{}.{} {what}", self.name(task), self.tasks[task].at);
            self.observed.log.push(line);
        }
    }

    /// A new error.
    pub(super) fn failure(&mut self, text: String) -> Failure {
        self.failures += 1;
        Failure { id: self.failures, text, is_cancelled: false }
    }

    pub(super) fn cancellation(&mut self, why: &str) -> Failure {
        Failure { is_cancelled: true, ..self.failure(format!("cancelled({why})")) }
    }

    /// The words of the log for the output of a part of the wait of `task`. Notes an error that is given as a value.
    pub(super) fn describe(&mut self, task: TaskId, part: &WaitPart<'a>) -> String {
        match &part.awaited {
            Awaited::Task(other) => match self.tasks[*other].error.clone() {
                Some(failure) => {
                    let text = format!("catches {}", failure.text);
                    self.tasks[task].caught = Some(failure);
                    text
                }
                None => format!("gets {}", self.tasks[*other].output),
            },
            Awaited::Turn => "had a turn".to_string(),
            Awaited::Spawned(_) => "gets a handle".to_string(),
            Awaited::Sleep(_) => "slept".to_string(),
            Awaited::Event(_) | Awaited::EventTimeout(_, _, true) => "sees the event".to_string(),
            Awaited::EventTimeout(_, _, false) => "does not see the event".to_string(),
            Awaited::Acquire(..) => "gets a permit".to_string(),
            Awaited::Offered(..) => "emitted".to_string(),
            Awaited::Read(Ok(Some(value))) => format!("receives {value}"),
            Awaited::Read(Ok(None)) => "finds the end".to_string(),
            Awaited::Read(Err(failure)) => {
                let text = format!("catches {}", failure.text);
                self.tasks[task].caught = Some(failure.clone());
                text
            }
            Awaited::Scope(scope, root) => {
                let output = self.tasks[*root].output.clone();
                let is_leaf = matches!(self.tasks[*root].work, Work::Leaf(_));
                let output = if is_leaf { output } else { format!("gets {output}") };
                match self.scopes[*scope].kind {
                    ScopeKind::Timeout if self.scopes[*scope].has_expired => match self.tasks[*root].error {
                        Some(_) => "timed out".to_string(),
                        None => output,
                    },
                    ScopeKind::Abortable if self.scopes[*scope].has_expired => match self.tasks[*root].error {
                        Some(_) => "aborted".to_string(),
                        None => output,
                    },
                    ScopeKind::Domain(_) => match self.loop_error(*scope) {
                        Some(error) => {
                            let failure = self.failure(format!("again({error})"));
                            self.tasks[task].caught = Some(failure);
                            format!("gets {error}")
                        }
                        None => output,
                    },
                    _ => match self.tasks[*root].error.clone() {
                        Some(failure) => {
                            let text = format!("catches {}", failure.text);
                            self.tasks[task].caught = Some(failure);
                            text
                        }
                        None => output,
                    },
                }
            }
            Awaited::Runners(runners) => {
                let winner = runners.iter().find(|(scope, _)| self.scopes[*scope].has_won);
                format!("gets {}", self.tasks[winner.expect("a race has a winner").1].output)
            }
            _ => unreachable!("the wait has begun"),
        }
    }

    /// The words of the log for the error of a domain, if the domain has failed.
    pub(super) fn loop_error(&self, scope: ScopeId) -> Option<String> {
        let Scope { failure, others, .. } = &self.scopes[scope];
        let mut others: Vec<_> = others.iter().map(|other| other.text.clone()).collect();
        others.sort();
        failure.as_ref().map(|failure| format!("error {} with [{}]", failure.text, others.join(", ")))
    }
}
