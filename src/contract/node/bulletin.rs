//! How much of servers that come and go is told: a worker that opens and closes them all the time
//! must not fill the log.

use std::time::Duration;

use super::News;

/// How long is counted.
const SPAN: Duration = Duration::from_secs(60);
/// A program has a handful of servers; each is told once when it is opened and once when it is closed.
const MOST: u16 = 100;

/// What was told in the present span of time.
#[derive(Debug, Default)]
pub(super) struct Bulletin {
    since: Option<Duration>,
    told: u16,
}

impl Bulletin {
    /// What to tell: the news, once that there is too much of it, or nothing.
    pub(super) fn pass(&mut self, now: Duration, news: News) -> Option<News> {
        let is_over = |since| now.saturating_sub(since) >= SPAN;
        if self.since.is_none_or(is_over) {
            *self = Self { since: Some(now), told: 0 };
        }
        self.told = self.told.saturating_add(1);
        match self.told {
            ..=MOST => Some(news),
            told if told == MOST.saturating_add(1) => Some(News::Busy),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_said_once_a_minute() {
        let mut bulletin = Bulletin::default();
        let mut pass =
            |second| bulletin.pass(Duration::from_secs(second), News::Opened(String::new()));
        let told = (0..1000).filter_map(|_| pass(1)).collect::<Vec<_>>();
        assert_eq!(told.len(), usize::from(MOST) + 1);
        assert!(matches!(told.last(), Some(News::Busy)));
        assert!(pass(60).is_none());
        assert!(matches!(pass(61), Some(News::Opened(_))));
    }
}
