//! Parts of an ARN.

/// Region, account and resource of an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
pub(crate) fn arn_parts(arn: &str) -> [Option<&str>; 3] {
    let mut colons = memchr::memchr_iter(b':', arn.as_bytes()).skip(2);
    let starts = [colons.next(), colons.next(), colons.next()];
    let part = |start: Option<usize>, end: Option<usize>| {
        arn.get(start? + 1..end.unwrap_or(arn.len())).filter(|part| !part.is_empty())
    };
    [part(starts[0], starts[1]), part(starts[1], starts[2]), part(starts[2], None)]
}
