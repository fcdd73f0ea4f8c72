//! A failing schedule made shorter: what is left breaks the same invariant.

use crate::run::{Run, RunOptions, run};

/// Removes faults as long as the same invariant breaks. Returns the shortest options found, and their run.
pub fn shrink(options: &RunOptions, failed: &Run) -> (RunOptions, Run) {
    let (mut options, mut failed) = (options.clone(), failed.clone());
    let mut piece = options.faults.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        while start < options.faults.len() {
            let mut shorter = options.clone();
            let end = (start + piece).min(shorter.faults.len());
            shorter.faults.drain(start..end);
            let ran = run(&shorter);
            let same = |run: &Run| run.violation.as_ref().map(|violation| violation.invariant);
            if same(&ran) == same(&failed) {
                (options, failed) = (shorter, ran);
            } else {
                start = end;
            }
        }
        piece /= 2;
    }
    (options, failed)
}
