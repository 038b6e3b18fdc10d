//! Finds quotes and backslashes. Most strings of an event have fewer than 32 bytes, so a search must cost little to
//! start: the vectors with the two bytes are made once per document. `memchr2`, which makes them for each string and
//! selects instructions at run time, is used where there is no AVX2 or NEON.

#[cfg(target_arch = "aarch64")]
use memchr::arch::aarch64::neon::memchr::Two;
#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::avx2::memchr::Two;

/// Finds the first quote or backslash.
#[derive(Debug)]
pub(super) struct Marks {
    #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
    two: Option<Two>,
}

impl Marks {
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
            two: Two::new(b'"', b'\\'),
        }
    }

    /// Returns the position of the first quote or backslash.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        #[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
        if let Some(two) = &self.two {
            return two.find(bytes);
        }
        memchr::memchr2(b'"', b'\\', bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_mark_is_found_at_each_distance() {
        for length in 0..200 {
            for mark in [b'"', b'\\'] {
                let mut bytes = vec![b'x'; length];
                assert_eq!(Marks::new().find(&bytes), None);
                bytes.extend([mark, b'"', b'\\']);
                assert_eq!(Marks::new().find(&bytes), Some(length));
            }
        }
    }
}
