//! "Did you mean": the known word that a mistyped one is nearest to.

/// The candidate that needs the fewest edits, if they are few enough to call it a typo.
pub(crate) fn nearest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long garbage word costs its length times the candidate's; no name of ours is this long.
    if typed.len() > 64 {
        return None;
    }
    let most = typed.chars().count().checked_div(3).unwrap_or(0).clamp(1, 3);
    candidates
        .map(|candidate| (edits(typed, candidate), candidate))
        .filter(|&(distance, _)| distance <= most)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, removals, replacements and swaps of neighbours lead from one to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut line = vec![row.saturating_add(1)];
        let mut other = None;
        for (column, &target) in to.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let replaced = at(&last, column).saturating_add(usize::from(letter != target));
            let removed = at(&last, next).saturating_add(1);
            let inserted = at(&line, column).saturating_add(1);
            let mut best = replaced.min(removed).min(inserted);
            if previous == Some(target) && other == Some(letter) {
                let swapped = column.checked_sub(1).map_or(usize::MAX, |c| at(&before_last, c));
                best = best.min(swapped.saturating_add(1));
            }
            line.push(best);
            other = Some(target);
        }
        previous = Some(letter);
        before_last = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(edits("KILL_TIEMOUT", "KILL_TIMEOUT"), 1);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn only_a_typo_has_a_nearest_word() {
        let known = ["WORKERS", "WORKER", "SURGE"];
        assert_eq!(nearest("WORKRES", known.into_iter()), Some("WORKERS"));
        assert_eq!(nearest("COLOUR", known.into_iter()), None);
        assert_eq!(nearest(&"W".repeat(100_000), known.into_iter()), None);
    }
}
