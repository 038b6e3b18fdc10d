//! Ranges of lists.

/// A range of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Span {
    pub(super) fn len(self) -> usize {
        (self.to - self.from) as usize
    }
}

/// Lists one after the other.
#[derive(Debug)]
pub(super) struct Spans<T> {
    pub(super) items: Vec<T>,
    /// The start of each list, and the end of the last one.
    starts: Vec<u32>,
}

impl<T> Default for Spans<T> {
    fn default() -> Self {
        Self { items: Vec::new(), starts: vec![0] }
    }
}

impl<T> Spans<T> {
    /// Adds a list.
    pub(super) fn push(&mut self, list: impl Iterator<Item = T>) {
        self.items.extend(list);
        self.starts.push(position(self.items.len()));
    }

    /// The number of lists.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The place of a list in `items`.
    pub(super) fn span(&self, list: usize) -> Span {
        Span { from: self.starts[list], to: self.starts[list + 1] }
    }

    /// The items of a list.
    pub(super) fn of(&self, list: usize) -> &[T] {
        let Span { from, to } = self.span(list);
        &self.items[from as usize..to as usize]
    }
}

/// Rules are files: no list has more than `u32::MAX` items.
pub(super) fn position(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The items of spans that are not empty, each with the place of its span. A branch for the end of each span would not
/// be predictable.
#[derive(Debug)]
pub(super) struct Chained<'s> {
    spans: &'s [Span],
    span: usize,
    next: u32,
    left: usize,
}

impl<'s> Chained<'s> {
    pub(super) fn new(spans: &'s [Span]) -> Self {
        let left = spans.iter().map(|span| span.len()).sum();
        Self { spans, span: 0, next: spans.first().map_or(0, |first| first.from), left }
    }

    /// The number of items that are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }
}

impl Iterator for Chained<'_> {
    type Item = (usize, u32);

    fn next(&mut self) -> Option<(usize, u32)> {
        self.left = self.left.checked_sub(1)?;
        let (span, item) = (self.span, self.next);
        let is_end = u32::from(item + 1 == self.spans[span].to);
        self.span += is_end as usize;
        let start = self.spans.get(self.span).map_or(0, |next| next.from);
        self.next = is_end * start + (1 - is_end) * (item + 1);
        Some((span, item))
    }
}
