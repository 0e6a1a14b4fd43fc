//! Streams: coroutines that emit values one by one.
//!
//! The coroutine and its readers share a [`Handover`]: the values that are offered, and the readers that wait for a value.

mod close;
mod handover;
mod waits;

use std::fmt;
use std::rc::Rc;

pub use self::close::Close;
use self::handover::Handover;
pub use self::waits::{Emit, Next};
use crate::error::{Cancelled, Error, Reason};
use crate::scheduler::{Scope, Task};
use crate::waiting::Wait;

/// Makes a coroutine that gives values one by one.
///
/// `body` gets an [`Emitter`], and returns the coroutine. Inside, `yield out.emit(value)` waits until a reader gets the value. Outside,
/// `yield stream.next()` gives `Some` value, or `None` when the coroutine has ended. The coroutine begins with the first `next`.
///
/// ```
/// use tinyield::{Coro, Loop, Stream, co, coro, stream};
///
/// fn even_numbers(limit: u32) -> Stream<u32> {
///     stream(move |out| co! {
///         for number in (0..limit).step_by(2) {
///             yield out.emit(number);
///         }
///     })
/// }
///
/// let main = co! {
///     let numbers = even_numbers(7);
///     let mut sum = 0;
///     while let Some(number) = yield numbers.next() {
///         sum += number;
///     }
///     sum
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), 0 + 2 + 4 + 6);
/// ```
///
/// The coroutine runs in the background, in the failure domain of the coroutine that yields the first `next`. A timeout or a race
/// around a `next` gives up only that `next`: the following `next` gets its value.
///
/// An [`isolate`](crate::isolate) around the first `next` is different: the coroutine becomes part of that `isolate`. An `isolate`
/// ends only when all that was started in it has ended. But the coroutine waits for readers that come only after the `isolate` has
/// ended. This is a deadlock. Put `isolate` around everything that reads, and not around one `next`:
///
/// ```
/// use tinyield::{Loop, co, isolate, stream};
///
/// let main = co! {
///     let lines = stream(|out| co! {
///         yield out.emit("one");
///         Err("the connection was lost")?;
///     });
///     let reading = co! {
///         let mut all = Vec::new();
///         while let Some(line) = yield lines.next() {
///             all.push(line);
///         }
///         all
///     };
///     (yield isolate(reading)).map_err(|error| error.to_string())
/// };
/// assert_eq!(Loop::new().run(main).unwrap(), Err("the connection was lost".to_string()));
/// ```
///
/// # Errors
///
/// An error of the coroutine acts like an error of any child: it stops the loop, or the [`isolate`](crate::isolate) around it. In a
/// reader outside of that `isolate`, `next` raises the error.
///
/// # Cancellation
///
/// When the [`Stream`] is dropped, the coroutine is cancelled, and sees the cancellation at its `emit` or at any other wait.
/// The failure domain waits until the coroutine has ended. To wait for this yourself, [close](Stream::close) the stream.
#[track_caller]
pub fn stream<T, F, W>(body: F) -> Stream<T>
where
    T: 'static,
    F: FnOnce(Emitter<T>) -> W,
    W: Wait<Output = ()>,
{
    let handover = Rc::new(Handover::new());
    let task = body(Emitter::new(handover.clone())).into_task().0;
    Stream { reader: Rc::new(Reader { handover, task }) }
}

/// The values of a coroutine, which a reader takes one by one. Made by [`stream`].
#[must_use = "the coroutine begins with the first `next`"]
pub struct Stream<T: 'static> {
    reader: Rc<Reader<T>>,
}

impl<T> Stream<T> {
    /// Waits for the next value. Gives `None` when the coroutine has ended. Each further call gives `None`, too.
    ///
    /// # Cancellation
    ///
    /// No value is lost: the following call of `next` gets the value.
    pub fn next(&self) -> Next<T> {
        Next::new(self.reader.clone())
    }

    /// Cancels the coroutine, and waits until it and all that it started have cleaned up and ended.
    ///
    /// Dropping the stream cancels the coroutine, too, but then only the failure domain waits for its end. So close the stream if
    /// the next step needs the end of the coroutine, for example to remove a file that it reads.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use tinyield::{Loop, co, finally, stream};
    ///
    /// let is_open = Rc::new(Cell::new(false));
    /// let (opens, closes) = (is_open.clone(), is_open.clone());
    /// let main = co! {
    ///     let lines = stream(move |out| {
    ///         let reading = co! {
    ///             opens.set(true);
    ///             loop { yield out.emit("a line"); }
    ///         };
    ///         finally(reading, move || co! { yield; closes.set(false); })
    ///     });
    ///     assert_eq!(yield lines.next(), Some("a line"));
    ///     assert!(is_open.get());
    ///     yield lines.close();
    ///     assert!(!is_open.get());
    /// };
    /// Loop::new().run(main).unwrap();
    /// ```
    ///
    /// A coroutine that has not begun never begins. Another coroutine that waits for a value gets `None`. On a loop other than
    /// that of the coroutine, the `yield` does not wait for the end.
    ///
    /// # Errors
    ///
    /// An error of the cleanup acts like any error of the coroutine: it stops the loop, or the [`isolate`](crate::isolate) around
    /// it. Outside of that `isolate`, the `yield` raises the error.
    ///
    /// # Cancellation
    ///
    /// The coroutine stays cancelled, and its domain waits for its end. While the coroutine of the stream cleans up behind a
    /// shield, the coroutine that closes the stream does not see its own cancellation. So the closing coroutine ends last.
    pub fn close(self) -> Close<T> {
        Close::new(self.reader)
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("task", self.reader.task.raw()).finish()
    }
}

/// A [`Stream`] and its waits share this. When the last of them is dropped, the coroutine is cancelled.
struct Reader<T: 'static> {
    handover: Rc<Handover<T>>,
    task: Task<()>,
}

impl<T> Reader<T> {
    /// The scope of the coroutine, while the coroutine runs.
    fn scope(&self) -> Option<Rc<Scope>> {
        let task = self.task.raw();
        if task.is_started() && !task.is_ended() { task.scope() } else { None }
    }

    fn cancel(&self) {
        if let Some(scope) = self.scope() {
            scope.scheduler().cancel(&scope, &Cancelled::new(Reason::Dropped));
        }
    }

    /// The error of the coroutine. If a reader has closed the stream, a cancellation is no error.
    fn error(&self) -> Option<Error> {
        self.task.raw().error().filter(|error| !(self.handover.is_closed() && error.is_cancelled()))
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.handover.close();
        self.cancel();
        self.handover.drop_given_back();
    }
}

/// The handle by which the coroutine of a [`stream`] emits values.
///
/// A clone emits values into the same stream. The stream ends when all its emitters are gone.
pub struct Emitter<T: 'static> {
    handover: Rc<Handover<T>>,
}

impl<T> Emitter<T> {
    fn new(handover: Rc<Handover<T>>) -> Emitter<T> {
        handover.add_emitter();
        Emitter { handover }
    }

    /// Emits a value, and waits until a reader gets it.
    ///
    /// If that reader gives up before it continues, for example because it loses a race, the next reader gets the value.
    ///
    /// # Errors
    ///
    /// If the [`Stream`] was dropped, and the coroutine that emits was started outside of the stream. Coroutines that the
    /// coroutine of the stream has started are cancelled instead.
    ///
    /// # Cancellation
    ///
    /// The value is dropped, unless it was granted to a reader before.
    pub fn emit(&self, value: T) -> Emit<T> {
        Emit::new(self.handover.clone(), value)
    }
}

impl<T> Clone for Emitter<T> {
    fn clone(&self) -> Emitter<T> {
        Emitter::new(self.handover.clone())
    }
}

impl<T> Drop for Emitter<T> {
    fn drop(&mut self) {
        self.handover.remove_emitter();
    }
}

impl<T> fmt::Debug for Emitter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}
