//! Properties of the evaluator, with policies made from a few elements.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:bounces";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:bounces";

fn request() -> Request<'static> {
    Request::new("sns.amazonaws.com", "sqs:SendMessage", Known::Text(QUEUE.to_owned()))
        .with("aws:sourcearn", Known::Text(TOPIC.to_owned()))
        .with("aws:sourceaccount", Known::Text("123456789012".to_owned()))
}

fn answer(statements: &[Value]) -> Answer {
    evaluate(Some(&json!({"Statement": statements}).to_string()), &request()).answer
}

fn principal() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("*")),
        Just(json!({"AWS": "*"})),
        Just(json!({"AWS": ["arn:aws:iam::123456789012:root"]})),
        Just(json!({"Service": "sns.amazonaws.com"})),
        Just(json!({"Service": ["ses.amazonaws.com", "sns.amazonaws.com"]})),
        Just(json!({"Service": "ses.amazonaws.com"})),
        Just(json!({"Service": "sns.eu-south-1.amazonaws.com"})),
        Just(json!(7)),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let operator = prop_oneof![
        Just("StringEquals"),
        Just("StringLike"),
        Just("ArnEquals"),
        Just("ArnLike"),
        Just("StringNotEquals"),
        Just("ArnNotLikeIfExists"),
        Just("ForAnyValue:StringLike"),
        Just("Null"),
        Just("IpAddress"),
    ];
    let key = prop_oneof![Just("aws:SourceArn"), Just("AWS:sourcearn"), Just("aws:SourceOwner")];
    let value = prop_oneof![
        Just(json!(TOPIC)),
        Just(json!("arn:aws:sns:*:*:bounces")),
        Just(json!(["arn:aws:sns:eu-west-1:123456789012:other", TOPIC])),
        Just(json!("${aws:username}")),
        Just(json!(false)),
        Just(json!({})),
    ];
    (operator, key, value).prop_map(|(operator, key, value)| json!({operator: {key: value}}))
}

fn statement() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny"), 1 => Just("Perhaps")];
    let action = prop_oneof![
        Just(json!("sqs:SendMessage")),
        Just(json!("SQS:sendmessage")),
        Just(json!(["sqs:Get*", "sqs:*"])),
        Just(json!("sqs:ReceiveMessage")),
    ];
    let resource =
        prop_oneof![Just(json!("*")), Just(json!(QUEUE)), Just(json!("arn:aws:sqs:*:*:other"))];
    let conditions = proptest::option::of(condition());
    let parts = (effect, principal(), action, resource, conditions, any::<bool>());
    parts.prop_map(|(effect, principal, action, resource, condition, is_negated)| {
        let action_key = if is_negated { "NotAction" } else { "Action" };
        let mut statement = json!({
            "Effect": effect, "Principal": principal, action_key: action, "Resource": resource,
        });
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    })
}

/// A glob by recursion on characters: slow, and obviously right.
fn slow_glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            slow_glob(rest, text)
                || text.split_first().is_some_and(|(_, text)| slow_glob(pattern, text))
        }
        (Some(('?', pattern)), Some((_, text))) => slow_glob(pattern, text),
        (Some((expected, pattern)), Some((c, text))) => expected == c && slow_glob(pattern, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_text_is_answered_without_panic_and_never_allowed(text in ".{0,80}") {
        prop_assert_ne!(evaluate(Some(&text), &request()).answer, Answer::Allowed);
    }

    #[test]
    fn certain_deny_wins_over_all_other_statements(
        mut statements in prop::collection::vec(statement(), 0..5),
        at in any::<prop::sample::Index>(),
    ) {
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        statements.insert(at.index(statements.len() + 1), deny);
        prop_assert_eq!(answer(&statements), Answer::Denied);
    }

    #[test]
    fn certain_allow_never_leaves_a_denial_without_a_deny_statement(
        mut statements in prop::collection::vec(statement(), 0..5),
    ) {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": QUEUE});
        statements.push(allow);
        let has_deny = statements.iter().any(|statement| statement["Effect"] == "Deny");
        prop_assert!(has_deny || answer(&statements) != Answer::Denied);
    }

    #[test]
    fn order_of_statements_changes_no_answer(
        statements in prop::collection::vec(statement(), 0..5),
    ) {
        let reversed: Vec<Value> = statements.iter().rev().cloned().collect();
        prop_assert_eq!(answer(&statements), answer(&reversed));
    }

    #[test]
    fn further_allow_statement_never_turns_allowed_into_another_answer(
        statements in prop::collection::vec(statement(), 0..5),
        mut more in statement(),
    ) {
        more["Effect"] = json!("Allow");
        let before = answer(&statements);
        let after = answer(&[statements, vec![more]].concat());
        prop_assert!(before != Answer::Allowed || after == Answer::Allowed);
    }

    #[test]
    fn an_unknown_value_never_contradicts_a_known_one(
        statements in prop::collection::vec(statement(), 0..5),
        kept in 0..=TOPIC.len(),
    ) {
        let known = answer(&statements);
        let mut request = request();
        let start: String = TOPIC.chars().take(kept).collect();
        request.context.insert("aws:sourcearn", Known::Start(start));
        let policy = json!({"Statement": statements}).to_string();
        let open = evaluate(Some(&policy), &request).answer;
        prop_assert!(open == known || open == Answer::Undecided || known == Answer::Undecided, "{open:?} {known:?}");
    }

    #[test]
    fn glob_equals_the_slow_one(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = Match::from(slow_glob(&chars(&pattern), &chars(&text)));
        prop_assert_eq!(pattern::glob_known(&pattern, &Known::Text(text)), expected);
    }

    #[test]
    fn glob_of_a_start_is_right_for_every_rest(
        pattern in "[ab*?]{0,8}", start in "[ab]{0,4}", rest in "[ab]{0,6}",
    ) {
        let whole = pattern::glob_known(&pattern, &Known::Text(format!("{start}{rest}")));
        let open = pattern::glob_known(&pattern, &Known::Start(start));
        prop_assert!(open == Match::Maybe || open == whole, "{open:?} {whole:?}");
    }
}

/// Statements and answers, decided by hand from the IAM user guide.
#[test]
fn known_policies_have_their_answers() {
    let allow = |condition: Value| {
        json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": condition})
    };
    let insecure = json!({"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    let cases = [
        (allow(json!({"ArnEquals": {"aws:SourceArn": TOPIC}})), Answer::Allowed),
        (allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:bounces"}})), Answer::Allowed),
        (allow(json!({"StringLike": {"AWS:SourceArn": "arn:aws:sns:*"}})), Answer::Allowed),
        // an ARN pattern with too few components
        (allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*"}})), Answer::Undecided),
        (allow(json!({"StringEquals": {"aws:SourceArn": "arn:aws:sns:*"}})), Answer::Denied),
        (allow(json!({"StringEquals": {"aws:SourceAccount": "210987654321"}})), Answer::Denied),
        (allow(json!({"StringEquals": {"aws:SourceOwner": "123456789012"}})), Answer::Undecided),
        (allow(json!({"StringNotEquals": {"aws:SourceArn": [TOPIC, "x"]}})), Answer::Denied),
        (allow(json!({"StringEqualsIfExists": {"aws:SourceArn": TOPIC}})), Answer::Allowed),
        (allow(json!({"Null": {"aws:SourceArn": "false"}})), Answer::Allowed),
        // a value of an unexpected form
        (allow(json!({"StringEquals": {"aws:SourceArn": {}}})), Answer::Undecided),
        (allow(json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})), Answer::Undecided),
    ];
    for (statement, expected) in cases {
        assert_eq!(answer(&[statement.clone(), insecure.clone()]), expected, "{statement}");
    }
    assert_eq!(evaluate(None, &request()).answer, Answer::Denied);
    // a star that spans components of an ARN
    let spanning = Known::Text("arn:aws:sns:eu-1:12:b:c".to_owned());
    assert_eq!(pattern::arn("arn:aws:s*1:12:b:*", &spanning), Match::Maybe);
    assert_eq!(pattern::arn("arn:aws:s*:eu-1:12:*", &spanning), Match::Yes);
    // the default policy of a queue: the owner
    let owner = json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "SQS:*", "Resource": QUEUE});
    assert_eq!(answer(&[owner]), Answer::Denied);
    let not_principal = json!({"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::1:root"},
        "Action": "sqs:*", "Resource": "*"});
    assert_eq!(answer(&[not_principal]), Answer::Undecided);
}
