//! Makes programs from bytes, so that a fuzzer or a random generator can search through them.
//!
//! Each decision takes one byte. When the bytes run out, each further decision is the first choice. `fuzz/corpus` holds such bytes, so a
//! change of the decisions turns them into other programs.

use super::{Body, Drive, EVENTS, Grouping, Leaf, Limit, PERMITS, Part, Program, SHARED, Statement, Wait};

struct Choices<'a> {
    bytes: &'a [u8],
    /// How many more statements the current body, and the bodies in it, may get.
    statements_left: usize,
    /// The current body is that of a stream.
    emits: bool,
    /// A stream was opened before.
    has_streams: bool,
}

const MAX_STATEMENTS_IN_SHARED: usize = 5;
const MAX_STATEMENTS_IN_MAIN: usize = 40;
const MAX_DEPTH: usize = 4;

impl Program {
    pub fn from_bytes(bytes: &[u8]) -> Program {
        let mut choices = Choices { bytes, statements_left: 0, emits: false, has_streams: false };
        let grouping = choices.grouping();
        let drive = match choices.of(8) {
            0..=2 => Drive::Run,
            3..=5 => Drive::Step,
            6 => Drive::StopAt(choices.of(24)),
            _ => Drive::DropAt(choices.of(24)),
        };
        // The shared coroutines come first, because the main coroutine would use up the bytes.
        let shared = (0..SHARED).map(|_| choices.body_of(MAX_DEPTH - 1, MAX_STATEMENTS_IN_SHARED)).collect();
        let main = choices.body_of(0, MAX_STATEMENTS_IN_MAIN);
        let mut program = Program { grouping, drive, main, shared };
        program.number();
        program
    }
}

impl Choices<'_> {
    /// A number below `count`.
    fn of(&mut self, count: usize) -> usize {
        match self.bytes.split_first() {
            None => 0,
            Some((first, rest)) => {
                self.bytes = rest;
                usize::from(*first) % count
            }
        }
    }

    fn yes(&mut self) -> bool {
        self.of(2) == 1
    }

    fn grouping(&mut self) -> Grouping {
        [Grouping::Auto, Grouping::Auto, Grouping::Always, Grouping::Never][self.of(4)]
    }

    fn limit(&mut self) -> Limit {
        match self.of(8) {
            0..=3 => Limit::Zero,
            4..=6 => Limit::Ticks(1 + self.of(3)),
            _ => Limit::Never,
        }
    }

    fn leaf(&mut self) -> Leaf {
        match self.of(4) {
            0 | 1 => match self.limit() {
                // A sleep that never ends would keep the run from ending.
                Limit::Never => Leaf::Sleep(Limit::Zero),
                limit => Leaf::Sleep(limit),
            },
            2 => Leaf::Event(self.of(EVENTS)),
            _ => Leaf::EventTimeout(self.of(EVENTS), self.limit()),
        }
    }

    fn body_of(&mut self, depth: usize, max_statements: usize) -> Body {
        self.statements_left = max_statements;
        self.body(depth)
    }

    fn body(&mut self, depth: usize) -> Body {
        let emits = std::mem::replace(&mut self.emits, false);
        let body = self.statements(depth);
        self.emits = emits;
        body
    }

    fn body_of_stream(&mut self, depth: usize) -> Body {
        let emits = std::mem::replace(&mut self.emits, true);
        let body = self.statements(depth);
        self.emits = emits;
        self.has_streams = true;
        body
    }

    fn statements(&mut self, depth: usize) -> Body {
        let mut statements = Vec::new();
        let length = match depth {
            0 => 2 + self.of(7),
            1..MAX_DEPTH => 1 + self.of(4),
            _ => self.of(3),
        };
        for _ in 0..length {
            if self.bytes.is_empty() || self.statements_left == 0 {
                break;
            }
            self.statements_left -= 1;
            statements.push(self.statement(depth));
        }
        Body { id: 0, statements }
    }

    fn statement(&mut self, depth: usize) -> Statement {
        if depth > MAX_DEPTH {
            // No statement that starts further coroutines.
            return match self.of(8) {
                0..=2 => Statement::Wait { wait: Wait::One(self.turn()), catch: false },
                3 => Statement::Wait { wait: Wait::One(self.next()), catch: self.yes() },
                4 => Statement::Wait { wait: Wait::One(Part::Shared(self.of(SHARED))), catch: self.yes() },
                5 => Statement::Set(self.of(EVENTS)),
                6 => Statement::Raise,
                _ => Statement::Wait { wait: Wait::One(Part::Leaf(self.leaf())), catch: self.yes() },
            };
        }
        match self.of(32) {
            0..=11 => Statement::Wait { wait: Wait::One(self.part(depth)), catch: self.of(4) == 1 },
            12..=14 => {
                let count = self.of(4);
                let parts = (0..count).map(|_| (self.part(depth), self.of(4) == 1)).collect();
                Statement::Wait { wait: Wait::All(parts), catch: self.of(4) == 1 }
            }
            15 => match self.of(2) {
                0 => Statement::Wait { wait: Wait::Shield(self.body(depth + 1)), catch: self.yes() },
                _ => Statement::Wait { wait: Wait::ShieldLeaf(self.leaf()), catch: self.yes() },
            },
            16 => Statement::Hold(self.of(PERMITS.len())),
            17 => Statement::RaceLeaves {
                semaphore: self.of(PERMITS.len()),
                event: self.of(EVENTS),
                limit: match self.limit() {
                    Limit::Never => Limit::Zero,
                    limit => limit,
                },
                catch: self.yes(),
            },
            18 => match self.of(4) {
                0 => Statement::Close,
                1 => Statement::Leave,
                2 => Statement::RaceNext {
                    event: self.of(EVENTS),
                    limit: match self.limit() {
                        Limit::Never => Limit::Zero,
                        limit => limit,
                    },
                    catch: self.yes(),
                },
                _ => Statement::Release,
            },
            21 if self.yes() => Statement::Open(self.body_of_stream(depth + 1)),
            19..=21 => Statement::Spawn(self.body(depth + 1)),
            22 => Statement::SpawnShared(self.of(SHARED)),
            23 => Statement::Set(self.of(EVENTS)),
            24 => match self.of(3) {
                0 => Statement::Abort,
                _ => Statement::Set(self.of(EVENTS)),
            },
            25 => Statement::Clear(self.of(EVENTS)),
            26 => Statement::Raise,
            27 => Statement::RaiseCaught,
            28 => Statement::Swallow([2, 99, 100, 101][self.of(4)]),
            29 => match self.of(4) {
                0 => Statement::Panic,
                1 => Statement::Stop,
                2 => Statement::Abort,
                _ => Statement::Raise,
            },
            30 => Statement::Return,
            _ => Statement::Wait { wait: Wait::One(Part::Shared(self.of(SHARED))), catch: true },
        }
    }

    fn turn(&mut self) -> Part {
        if self.emits { Part::Emit } else { Part::Turn }
    }

    fn next(&mut self) -> Part {
        if self.has_streams { Part::Next } else { Part::Turn }
    }

    fn part(&mut self, depth: usize) -> Part {
        match self.of(16) {
            0 => self.turn(),
            1 => self.next(),
            2..=4 => Part::Run(self.body(depth + 1)),
            5 | 6 => Part::Shared(self.of(SHARED)),
            7 => Part::Join,
            8 | 9 => Part::Leaf(self.leaf()),
            10 => Part::Acquire(self.of(PERMITS.len())),
            11 => match self.of(3) {
                0 => Part::Abortable(self.body(depth + 1)),
                _ => Part::Timeout(self.body(depth + 1), self.limit()),
            },
            12 => match self.of(6) {
                0 => Part::TimeoutLeaf(self.leaf(), self.limit()),
                1 | 2 => Part::Finally(Box::new([self.body(depth + 1), self.body(depth + 1)])),
                3 => Part::Bracket(Box::new([self.body(depth + 1), self.body(depth + 1), self.body(depth + 1)])),
                _ => Part::Shield(self.body(depth + 1)),
            },
            13 => Part::Race((0..1 + self.of(3)).map(|_| self.body(depth + 1)).collect()),
            14 => Part::Isolate(self.body(depth + 1), self.grouping()),
            _ => match self.of(3) {
                0 => Part::Isolate(self.body(depth + 1), self.grouping()),
                _ => Part::Contain(self.body(depth + 1)),
            },
        }
    }
}
