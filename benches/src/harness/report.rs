//! Prints the figures as a table, and converts them to JSON.

use serde_json::{Value, json};

use super::figures::{Entry, best};
use super::workload::{Kind, Workload};

pub fn print(workload: &Workload, entries: &[Entry]) {
    println!("\n{}: {}", workload.name, workload.what);
    for (unit, unit_name) in workload.units.iter().enumerate() {
        let raw = best(entries, Kind::Raw, unit);
        let peer = best(entries, Kind::Peer, unit);
        println!("  {:<28} {:>10}   {:<21} {:>8} {:>12}", unit_name, "median", "min..max", "x raw", "x best peer");
        for entry in entries {
            print_entry(entry, unit, raw, peer);
        }
    }
}

fn print_entry(entry: &Entry, unit: usize, raw: Option<f64>, peer: Option<f64>) {
    let Some([least, median, greatest]) = entry.spread(unit) else {
        println!("  {:<28} failed: {}", entry.name, entry.failure.as_deref().unwrap_or("no run"));
        return;
    };
    let range = format!("{}..{}", short(least), short(greatest));
    let ratio = |base: Option<f64>| base.map_or(String::new(), |base| format!("{:.2}", median / base));
    let note = entry.note().map_or(String::new(), |note| format!("   {note}"));
    let line =
        format!("  {:<28} {:>10}   {range:<21} {:>8} {:>12}{note}", entry.name, short(median), ratio(raw), ratio(peer));
    println!("{}", line.trim_end());
}

/// Three significant digits.
fn short(figure: f64) -> String {
    let digits = match figure {
        _ if figure >= 100.0 => 0,
        _ if figure >= 10.0 => 1,
        _ => 2,
    };
    format!("{figure:.digits$}")
}

pub fn json(workload: &Workload, entries: &[Entry]) -> Value {
    let units: Vec<Value> = (0..workload.units.len()).map(|unit| unit_json(workload, entries, unit)).collect();
    json!({ "name": workload.name, "what": workload.what, "pinned": workload.pinned, "units": units })
}

fn unit_json(workload: &Workload, entries: &[Entry], unit: usize) -> Value {
    let contenders: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let [least, median, greatest] = entry.spread(unit).map_or([None; 3], |spread| spread.map(Some));
            json!({
                "name": entry.name, "kind": entry.kind.name(),
                "median": median, "min": least, "max": greatest, "runs": entry.figures(unit),
                "note": entry.note(), "failure": entry.failure,
            })
        })
        .collect();
    json!({ "unit": workload.units[unit], "contenders": contenders })
}
