//! Prints programs as pseudo-code.

use std::fmt;

use super::{Body, Leaf, Part, Program, Statement, Wait};

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
            Statement::RaceLeaves { semaphore, event, limit, catch } => {
                f.write_str(if *catch { "yield catch " } else { "yield " })?;
                write!(f, "race(semaphore{semaphore}.acquire(), event{event}.wait(), sleep({limit:?}))")
            }
            Statement::Hold(semaphore) => write!(f, "hold semaphore{semaphore}"),
            Statement::Release => f.write_str("release"),
            Statement::Spawn(body) => {
                f.write_str("spawn ")?;
                body.print(f, depth)
            }
            Statement::Open(body) => {
                f.write_str("open a stream of ")?;
                body.print(f, depth)
            }
            Statement::Close => f.write_str("close a stream"),
            Statement::Leave => f.write_str("leave a stream"),
            Statement::RaceNext { event, limit, catch } => {
                f.write_str(if *catch { "yield catch " } else { "yield " })?;
                write!(f, "race(stream.next(), event{event}.wait(), sleep({limit:?}))")
            }
            Statement::SpawnShared(shared) => write!(f, "spawn shared{shared}"),
            Statement::Set(event) => write!(f, "event{event}.set()"),
            Statement::Clear(event) => write!(f, "event{event}.clear()"),
            Statement::Raise => f.write_str("raise"),
            Statement::RaiseCaught => f.write_str("raise what was caught"),
            Statement::Panic => f.write_str("panic"),
            Statement::Abort => f.write_str("abort"),
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
            Part::Race(bodies) => print_all(f, "race", bodies, depth),
            Part::Isolate(body, grouping) => {
                write!(f, "isolate({grouping:?}) ")?;
                body.print(f, depth)
            }
            Part::Abortable(body) => {
                f.write_str("abortable ")?;
                body.print(f, depth)
            }
            Part::Contain(body) => {
                f.write_str("contain ")?;
                body.print(f, depth)
            }
            Part::Next => f.write_str("stream.next()"),
            Part::Emit => f.write_str("emit"),
            Part::Finally(bodies) => print_all(f, "finally", &bodies[..], depth),
            Part::Bracket(bodies) => print_all(f, "bracket", &bodies[..], depth),
            Part::Shield(body) => {
                f.write_str("part(shield ")?;
                body.print(f, depth)?;
                f.write_str(")")
            }
        }
    }
}

fn print_all(f: &mut fmt::Formatter<'_>, name: &str, bodies: &[Body], depth: usize) -> fmt::Result {
    write!(f, "{name}(")?;
    for (index, body) in bodies.iter().enumerate() {
        f.write_str(if index > 0 { ", " } else { "" })?;
        body.print(f, depth)?;
    }
    f.write_str(")")
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
