//! The table, in Markdown.

use crate::measure::Contender;

/// Its first two lines.
pub(crate) fn head() {
    println!("| cost | init | median | min | max | median to ours |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
}

/// The lines of one cost: one figure a round for each contender, of whom the last one is ours.
pub(crate) fn cost(name: &str, contenders: &[Contender], figures: &[Vec<f64>]) {
    let ours = figures.last().map_or(0.0, |figures| median(figures));
    for (contender, figures) in contenders.iter().zip(figures) {
        let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let middle = median(figures);
        let ratio = if ours > 0.0 { format!("{:.2}", middle / ours) } else { "–".to_owned() };
        let (name, who) = (name, &contender.name);
        println!("| {name} | {who} | {middle:.1} | {least:.1} | {most:.1} | {ratio} |");
    }
}

/// The middle one; of an even number, the higher of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
