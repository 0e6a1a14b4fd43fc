//! The trait [`Wait`], of everything that can be yielded, and macros to implement it. A wait that is yielded is converted into its
//! [`WaitState`], and the coroutine polls the state as an [`ActiveWait`](super::active::ActiveWait).

use super::active::task_of;
use super::kind::RaceKind;
use super::map::{Map, Mapping};
use super::state::{WaitState, private};

/// A value that a coroutine can `yield`: the coroutine waits until the value is ready, and the `yield` returns its `Output`.
///
/// The [page of the crate](crate#what-can-be-yielded) lists all waits. The trait is sealed: to make a new kind of wait, write
/// a coroutine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be yielded",
    label = "a coroutine cannot wait for this",
    note = "yield nothing, a coroutine (`Coro`, `Shared`), a tuple (of at most 12 parts), array, `Vec` or `Option` of \
            them, or one of tinyield's waits: `sleep(..)`, `spawn(..)`, `event.wait()`, .. To wait for a future, use \
            `future.await` or `yield from_future(future)`."
)]
pub trait Wait: private::Sealed {
    /// What the `yield` returns.
    type Output: 'static;

    /// The state of the wait, which owns all its data.
    #[doc(hidden)]
    type State: WaitState<Output = Self::Output>;

    #[doc(hidden)]
    fn into_state(self) -> Self::State;

    /// Whether it is a leaf for a [`race`](crate::race).
    #[doc(hidden)]
    type Kind: RaceKind;

    /// The same wait with an output of another type: `change` is called with the output when the wait is over and
    /// the coroutine continues. If the coroutine waits for several things at once, this is when all of them are over.
    ///
    /// It starts no coroutine and does not allocate. Use it to give all waits of a [`race`](crate::race) the same type of output.
    ///
    /// ```
    /// use tinyield::{Event, Loop, channel, co, race};
    ///
    /// enum Next {
    ///     Job(u32),
    ///     Stop,
    /// }
    ///
    /// let (sender, jobs) = channel::unbounded();
    /// let stop = Event::new();
    /// for job in 1..=3 {
    ///     sender.try_send(job).unwrap();
    /// }
    /// let main = co! {
    ///     let mut sum = 0;
    ///     while sum < 6 {
    ///         let job = jobs.recv().map(|job| Next::Job(job.expect("the sender is there")));
    ///         match yield race((job, stop.wait().map(|()| Next::Stop))) {
    ///             Next::Job(number) => sum += number,
    ///             Next::Stop => break,
    ///         }
    ///     }
    ///     sum
    /// };
    /// assert_eq!(Loop::new().run(main).unwrap(), 6);
    /// # drop(sender);
    /// ```
    ///
    /// All waits of the library also have `map` as a method of their own, so that [`Wait`] need not be imported. Only tuples and
    /// `Vec`s need the import. For an array or an `Option`, `map` is the method of the standard library: put the array or the
    /// `Option` into a tuple, or map the outputs after the `yield`.
    fn map<F, U>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Output) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }

    /// Makes a task that waits for this wait, and ends with the output of this wait.
    #[doc(hidden)]
    #[track_caller]
    fn into_task(self) -> private::AnyTask<Self::Output>
    where
        Self: Sized,
    {
        private::AnyTask(task_of(self.into_state()))
    }
}

/// Gives a type that implements [`Wait`] the method `map` of that trait, for code that does not import the trait.
macro_rules! inherent_map {
    ([$($T:ident $(: $bound:path)?),*] $wait:ty) => {
        impl<$($T: $($bound +)? 'static),*> $wait {
            /// The same wait with an output of another type. See [`Wait::map`](crate::Wait::map).
            pub fn map<F, U>(self, change: F) -> $crate::waiting::Map<Self, F>
            where
                F: FnOnce(<Self as $crate::waiting::Wait>::Output) -> U + 'static,
                U: 'static,
            {
                $crate::waiting::Map::new(self, change)
            }
        }
    };
}

pub(crate) use inherent_map;

/// Implements [`Wait`] for a type that is its own [`WaitState`]. Write `leaf` if a race can give up the wait by dropping it.
macro_rules! wait_is_its_state {
    ($wait:ident $(<$T:ident>)? => $output:ty) => {
        $crate::waiting::yieldable::wait_is_its_state!($wait $(<$T>)? => $output, Work);
    };
    (leaf $wait:ident $(<$T:ident>)? => $output:ty) => {
        $crate::waiting::yieldable::wait_is_its_state!($wait $(<$T>)? => $output, Leaf);
    };
    ($wait:ident $(<$T:ident>)? => $output:ty, $kind:ident) => {
        impl $(<$T>)? $crate::waiting::private::Sealed for $wait $(<$T>)? {}

        $crate::waiting::yieldable::inherent_map!([$($T)?] $wait $(<$T>)?);

        impl $(<$T: 'static>)? $crate::waiting::Wait for $wait $(<$T>)? {
            type Output = $output;
            type State = Self;
            type Kind = $crate::waiting::kind::$kind;

            #[inline]
            fn into_state(self) -> Self {
                self
            }
        }
    };
}

pub(crate) use wait_is_its_state;

impl<W, F, U> Wait for Map<W, F>
where
    W: Wait,
    F: FnOnce(W::Output) -> U + 'static,
    U: 'static,
{
    type Output = U;
    type State = Mapping<W::State, F>;
    type Kind = W::Kind;

    fn into_state(self) -> Mapping<W::State, F> {
        Mapping::new(self.wait.into_state(), self.change)
    }
}

impl<W, F> Map<W, F> {
    /// The same wait with an output of another type. See [`Wait::map`].
    pub fn map<G, U>(self, change: G) -> Map<Self, G>
    where
        Self: Wait,
        G: FnOnce(<Self as Wait>::Output) -> U + 'static,
        U: 'static,
    {
        Map::new(self, change)
    }
}
