//! Amazon Resource Names.

/// Region, account and resource of an ARN, which has the form `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`. Empty
/// parts are `None`.
pub(crate) fn arn_parts(arn: &str) -> [Option<&str>; 3] {
    let mut colons = memchr::memchr_iter(b':', arn.as_bytes()).skip(2);
    let starts = [colons.next(), colons.next(), colons.next()];
    let part = |start: Option<usize>, end: Option<usize>| {
        arn.get(start? + 1..end.unwrap_or(arn.len())).filter(|part| !part.is_empty())
    };
    [part(starts[0], starts[1]), part(starts[1], starts[2]), part(starts[2], None)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_parts_are_region_account_and_resource() {
        let parts = arn_parts("arn:aws:ses:eu-west-1:111111111111:identity/a:b");
        assert_eq!(parts, [Some("eu-west-1"), Some("111111111111"), Some("identity/a:b")]);
        assert_eq!(arn_parts("arn:aws:s3:::bucket"), [None, None, Some("bucket")]);
        assert_eq!(arn_parts("arn:aws:sns:eu-west-1"), [Some("eu-west-1"), None, None]);
        assert_eq!(arn_parts(""), [None; 3]);
    }
}
