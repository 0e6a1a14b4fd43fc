//! A little language of coroutines: what its programs are, how they are made of bytes, made smaller, and printed.

use std::fmt;

/// How many events, semaphores and shared coroutines a program has.
pub const EVENTS: usize = 2;
pub const PERMITS: [usize; 2] = [1, 2];
pub const SHARED: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub grouping: Grouping,
    pub drive: Drive,
    pub main: Body,
    pub shared: Vec<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grouping {
    Auto,
    Never,
    Always,
}

/// Who runs the loop, and what he does to it from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drive {
    /// `Loop::run`: waiting in vain is a deadlock. Ticks are no time in it.
    Run,
    /// Step by step. When it waits in vain it is told to stop; if that is in vain too, it is dropped.
    Step,
    /// Step by step, and told to stop when the log has so many lines.
    StopAt(usize),
    /// Step by step, and dropped when the log has so many lines. Once it is, ticks are no time in it.
    DropAt(usize),
}

/// One coroutine. There is exactly one of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub id: usize,
    pub statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Yields it, and logs what that gave.
    Wait {
        wait: Wait,
        catch: bool,
    },
    /// Acquires a permit and keeps it.
    Hold(usize),
    /// Gives back the permit that it has had for longest, if any.
    Release,
    /// Starts it in the background, and keeps the handle.
    Spawn(Body),
    SpawnShared(usize),
    Set(usize),
    Clear(usize),
    Raise,
    /// Raises again what it caught last, if it caught anything.
    RaiseCaught,
    Panic,
    /// Tells the loop to stop.
    Stop,
    /// Ends here.
    Return,
    /// Catches so many turns in a row.
    Swallow(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    One(Part),
    All(Vec<(Part, bool)>),
    Shield(Body),
    ShieldLeaf(Leaf),
}

/// What may be a part of a gather.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Turn,
    Run(Body),
    Shared(usize),
    /// Its oldest handle, if it has one.
    Join,
    Leaf(Leaf),
    Acquire(usize),
    Timeout(Body, Limit),
    TimeoutLeaf(Leaf, Limit),
    Race(Vec<Body>),
    Isolate(Body, Grouping),
    Shield(Body),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaf {
    Sleep(Limit),
    Event(usize),
    EventTimeout(usize, Limit),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Zero,
    /// Ticks are far apart.
    Ticks(usize),
    Never,
}

// From bytes.

/// Makes decisions of bytes. When they run out, each decision is the first choice.
struct Choices<'a> {
    bytes: &'a [u8],
    /// How many more statements there may be.
    left: usize,
}

const MOST_IN_SHARED: usize = 5;
const MOST_IN_MAIN: usize = 40;
const DEEPEST: usize = 4;

impl Program {
    pub fn from_bytes(bytes: &[u8]) -> Program {
        let mut choices = Choices { bytes, left: 0 };
        let grouping = choices.grouping();
        let drive = match choices.of(8) {
            0..=2 => Drive::Run,
            3..=5 => Drive::Step,
            6 => Drive::StopAt(choices.of(24)),
            _ => Drive::DropAt(choices.of(24)),
        };
        // First, so that there are bytes for them.
        let shared = (0..SHARED).map(|_| choices.some_body(DEEPEST - 1, MOST_IN_SHARED)).collect();
        let main = choices.some_body(0, MOST_IN_MAIN);
        let mut program = Program { grouping, drive, main, shared };
        program.number();
        program
    }

    /// Numbers the coroutines: from the outermost, first come first.
    fn number(&mut self) {
        let mut next = 0;
        let mut bodies: Vec<&mut Body> = vec![&mut self.main];
        bodies.extend(&mut self.shared);
        for body in bodies {
            number(body, &mut next);
        }
    }
}

fn number(body: &mut Body, next: &mut usize) {
    body.id = *next;
    *next += 1;
    for statement in &mut body.statements {
        for inner in statement.bodies() {
            number(inner, next);
        }
    }
}

impl Statement {
    /// The coroutines that it starts.
    fn bodies(&mut self) -> Vec<&mut Body> {
        match self {
            Statement::Spawn(body) => vec![body],
            Statement::Wait { wait, .. } => match wait {
                Wait::One(part) => part.bodies(),
                Wait::All(parts) => parts.iter_mut().flat_map(|(part, _)| part.bodies()).collect(),
                Wait::Shield(body) => vec![body],
                Wait::ShieldLeaf(_) => vec![],
            },
            _ => vec![],
        }
    }
}

impl Part {
    fn bodies(&mut self) -> Vec<&mut Body> {
        match self {
            Part::Run(body) | Part::Timeout(body, _) | Part::Isolate(body, _) | Part::Shield(body) => vec![body],
            Part::Race(bodies) => bodies.iter_mut().collect(),
            _ => vec![],
        }
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
                // A sleep that never ends keeps its loop from ever ending, and nobody may be left to stop it.
                Limit::Never => Leaf::Sleep(Limit::Zero),
                limit => Leaf::Sleep(limit),
            },
            2 => Leaf::Event(self.of(EVENTS)),
            _ => Leaf::EventTimeout(self.of(EVENTS), self.limit()),
        }
    }

    fn some_body(&mut self, depth: usize, most: usize) -> Body {
        self.left = most;
        self.body(depth)
    }

    fn body(&mut self, depth: usize) -> Body {
        let mut statements = Vec::new();
        let length = match depth {
            0 => 2 + self.of(7),
            1..DEEPEST => 1 + self.of(4),
            _ => self.of(3),
        };
        for _ in 0..length {
            if self.bytes.is_empty() || self.left == 0 {
                break;
            }
            self.left -= 1;
            statements.push(self.statement(depth));
        }
        Body { id: 0, statements }
    }

    fn statement(&mut self, depth: usize) -> Statement {
        if depth > DEEPEST {
            // No further coroutines.
            return match self.of(8) {
                0..=3 => Statement::Wait { wait: Wait::One(Part::Turn), catch: false },
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
            16 | 17 => Statement::Hold(self.of(PERMITS.len())),
            18 => Statement::Release,
            19..=21 => Statement::Spawn(self.body(depth + 1)),
            22 => Statement::SpawnShared(self.of(SHARED)),
            23 | 24 => Statement::Set(self.of(EVENTS)),
            25 => Statement::Clear(self.of(EVENTS)),
            26 => Statement::Raise,
            27 => Statement::RaiseCaught,
            28 => Statement::Swallow([2, 99, 100, 101][self.of(4)]),
            29 => match self.of(4) {
                0 => Statement::Panic,
                1 => Statement::Stop,
                _ => Statement::Raise,
            },
            30 => Statement::Return,
            _ => Statement::Wait { wait: Wait::One(Part::Shared(self.of(SHARED))), catch: true },
        }
    }

    fn part(&mut self, depth: usize) -> Part {
        match self.of(16) {
            0 | 1 => Part::Turn,
            2..=4 => Part::Run(self.body(depth + 1)),
            5 | 6 => Part::Shared(self.of(SHARED)),
            7 => Part::Join,
            8 | 9 => Part::Leaf(self.leaf()),
            10 => Part::Acquire(self.of(PERMITS.len())),
            11 => Part::Timeout(self.body(depth + 1), self.limit()),
            12 => match self.of(3) {
                0 => Part::TimeoutLeaf(self.leaf(), self.limit()),
                _ => Part::Shield(self.body(depth + 1)),
            },
            13 => Part::Race((0..1 + self.of(3)).map(|_| self.body(depth + 1)).collect()),
            _ => Part::Isolate(self.body(depth + 1), self.grouping()),
        }
    }
}

// Smaller.

impl Program {
    /// All programs that are smaller by one step.
    pub fn smaller(&self) -> impl Iterator<Item = Program> {
        let program = self.clone();
        (0..).map_while(move |place| {
            let mut smaller = program.clone();
            let mut edit = Edit { place };
            edit.program(&mut smaller);
            smaller.number();
            (edit.place == DONE).then_some(smaller)
        })
    }
}

/// Makes the edit at one place: counts the places until it gets there.
struct Edit {
    place: usize,
}

const DONE: usize = usize::MAX;

impl Edit {
    /// Whether this is the place.
    fn is_here(&mut self) -> bool {
        match self.place {
            DONE => false,
            0 => {
                self.place = DONE;
                true
            }
            _ => {
                self.place -= 1;
                false
            }
        }
    }

    fn program(&mut self, program: &mut Program) {
        self.body(&mut program.main);
        for body in &mut program.shared {
            self.body(body);
        }
        if program.grouping != Grouping::Auto && self.is_here() {
            program.grouping = Grouping::Auto;
        }
        if program.drive != Drive::Step && self.is_here() {
            program.drive = Drive::Step;
        }
        if let Drive::StopAt(at) | Drive::DropAt(at) = &mut program.drive
            && *at > 0
            && self.is_here()
        {
            *at -= 1;
        }
    }

    fn body(&mut self, body: &mut Body) {
        if body.statements.len() > 1 && self.is_here() {
            body.statements.clear();
        }
        let mut index = 0;
        while index < body.statements.len() && self.place != DONE {
            if self.is_here() {
                body.statements.remove(index);
                return;
            }
            let statement = &mut body.statements[index];
            // What it would start is done here instead.
            let count = statement.bodies().len();
            for nth in 0..count {
                if self.is_here() {
                    let inner = std::mem::take(statement.bodies()[nth]);
                    body.statements.splice(index..=index, inner.statements);
                    return;
                }
            }
            self.statement(statement);
            index += 1;
        }
    }

    fn statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Wait { wait, catch } => {
                if *catch && self.is_here() {
                    *catch = false;
                }
                match wait {
                    Wait::One(part) => self.part(part),
                    Wait::All(parts) => {
                        for index in 0..parts.len() {
                            if self.is_here() {
                                parts.remove(index);
                                return;
                            }
                        }
                        for (part, catch) in parts.iter_mut() {
                            if *catch && self.is_here() {
                                *catch = false;
                            }
                            self.part(part);
                        }
                        if let [(part, _)] = &parts[..]
                            && self.is_here()
                        {
                            *wait = Wait::One(part.clone());
                        }
                    }
                    Wait::Shield(body) => {
                        if self.is_here() {
                            *wait = Wait::One(Part::Run(std::mem::take(body)));
                            return;
                        }
                        self.body(body);
                    }
                    Wait::ShieldLeaf(leaf) => {
                        if self.is_here() {
                            *wait = Wait::One(Part::Leaf(*leaf));
                            return;
                        }
                        self.leaf(leaf);
                    }
                }
            }
            Statement::Spawn(body) => self.body(body),
            Statement::Swallow(times) if *times > 2 && self.is_here() => *times = 2,
            _ => {}
        }
    }

    fn part(&mut self, part: &mut Part) {
        if *part != Part::Turn && self.is_here() {
            *part = Part::Turn;
            return;
        }
        match part {
            Part::Run(body) => self.body(body),
            Part::Leaf(leaf) => self.leaf(leaf),
            Part::Timeout(body, _) | Part::Isolate(body, _) | Part::Shield(body) if self.is_here() => {
                *part = Part::Run(std::mem::take(body));
            }
            Part::Timeout(body, limit) => {
                self.body(body);
                self.limit(limit);
            }
            Part::Isolate(body, grouping) => {
                self.body(body);
                if *grouping != Grouping::Auto && self.is_here() {
                    *grouping = Grouping::Auto;
                }
            }
            Part::Shield(body) => self.body(body),
            Part::TimeoutLeaf(leaf, limit) => {
                self.leaf(leaf);
                self.limit(limit);
            }
            Part::Race(bodies) => {
                for index in 0..bodies.len() {
                    if bodies.len() > 1 && self.is_here() {
                        bodies.remove(index);
                        return;
                    }
                }
                for body in bodies {
                    self.body(body);
                }
            }
            _ => {}
        }
    }

    fn leaf(&mut self, leaf: &mut Leaf) {
        match leaf {
            Leaf::EventTimeout(event, _) if self.is_here() => *leaf = Leaf::Event(*event),
            Leaf::EventTimeout(_, limit) | Leaf::Sleep(limit) => self.limit(limit),
            Leaf::Event(_) => {}
        }
    }

    fn limit(&mut self, limit: &mut Limit) {
        if matches!(limit, Limit::Ticks(_)) && self.is_here() {
            *limit = Limit::Zero;
        }
        if let Limit::Ticks(ticks) = limit
            && *ticks > 1
            && self.is_here()
        {
            *ticks -= 1;
        }
    }
}

// Printed.

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, grouping {:?}\nmain = ", self.drive, self.grouping)?;
        self.main.print(f, 0)?;
        for (index, body) in self.shared.iter().enumerate() {
            write!(f, "\nshared{index} = ")?;
            body.print(f, 0)?;
        }
        writeln!(f)
    }
}

impl Body {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        if self.statements.is_empty() {
            return write!(f, "c{} {{}}", self.id);
        }
        writeln!(f, "c{} {{", self.id)?;
        for (index, statement) in self.statements.iter().enumerate() {
            write!(f, "{:indent$}{index}: ", "", indent = 4 * depth + 4)?;
            statement.print(f, depth + 1)?;
            writeln!(f)?;
        }
        write!(f, "{:indent$}}}", "", indent = 4 * depth)
    }
}

impl Statement {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Statement::Wait { wait, catch } => {
                f.write_str(if *catch { "yield catch " } else { "yield " })?;
                match wait {
                    Wait::One(part) => part.print(f, depth),
                    Wait::All(parts) => {
                        f.write_str("[")?;
                        for (index, (part, catch)) in parts.iter().enumerate() {
                            f.write_str(if index > 0 { ", " } else { "" })?;
                            f.write_str(if *catch { "catch " } else { "" })?;
                            part.print(f, depth)?;
                        }
                        f.write_str("]")
                    }
                    Wait::Shield(body) => {
                        f.write_str("shield ")?;
                        body.print(f, depth)
                    }
                    Wait::ShieldLeaf(leaf) => write!(f, "shield {leaf}"),
                }
            }
            Statement::Hold(semaphore) => write!(f, "hold semaphore{semaphore}"),
            Statement::Release => f.write_str("release"),
            Statement::Spawn(body) => {
                f.write_str("spawn ")?;
                body.print(f, depth)
            }
            Statement::SpawnShared(shared) => write!(f, "spawn shared{shared}"),
            Statement::Set(event) => write!(f, "event{event}.set()"),
            Statement::Clear(event) => write!(f, "event{event}.clear()"),
            Statement::Raise => f.write_str("raise"),
            Statement::RaiseCaught => f.write_str("raise what was caught"),
            Statement::Panic => f.write_str("panic"),
            Statement::Stop => f.write_str("stop the loop"),
            Statement::Return => f.write_str("return"),
            Statement::Swallow(times) => write!(f, "yield catch a turn, {times} times"),
        }
    }
}

impl Part {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Part::Turn => f.write_str("a turn"),
            Part::Run(body) => body.print(f, depth),
            Part::Shared(shared) => write!(f, "shared{shared}"),
            Part::Join => f.write_str("the oldest handle"),
            Part::Leaf(leaf) => write!(f, "{leaf}"),
            Part::Acquire(semaphore) => write!(f, "semaphore{semaphore}.acquire()"),
            Part::Timeout(body, limit) => {
                write!(f, "timeout({limit:?}) ")?;
                body.print(f, depth)
            }
            Part::TimeoutLeaf(leaf, limit) => write!(f, "timeout({limit:?}) {leaf}"),
            Part::Race(bodies) => {
                f.write_str("race(")?;
                for (index, body) in bodies.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    body.print(f, depth)?;
                }
                f.write_str(")")
            }
            Part::Isolate(body, grouping) => {
                write!(f, "isolate({grouping:?}) ")?;
                body.print(f, depth)
            }
            Part::Shield(body) => {
                f.write_str("part(shield ")?;
                body.print(f, depth)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leaf::Sleep(limit) => write!(f, "sleep({limit:?})"),
            Leaf::Event(event) => write!(f, "event{event}.wait()"),
            Leaf::EventTimeout(event, limit) => write!(f, "event{event}.wait_timeout({limit:?})"),
        }
    }
}
