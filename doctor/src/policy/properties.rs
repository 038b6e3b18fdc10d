//! Properties of the evaluator, with policies made from a few elements.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:bounces";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:bounces";

fn request() -> Request<'static> {
    Request::new("sns.amazonaws.com", "sqs:SendMessage", RequestValue::Exact(QUEUE.to_owned()))
        .with("aws:sourcearn", RequestValue::Exact(TOPIC.to_owned()))
        .with("aws:sourceaccount", RequestValue::Exact("123456789012".to_owned()))
}

fn decision(statements: &[Value]) -> Decision {
    evaluate(Some(&json!({"Statement": statements}).to_string()), &request()).decision
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
fn recursive_glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            recursive_glob(rest, text)
                || text.split_first().is_some_and(|(_, text)| recursive_glob(pattern, text))
        }
        (Some(('?', pattern)), Some((_, text))) => recursive_glob(pattern, text),
        (Some((expected, pattern)), Some((c, text))) => {
            expected == c && recursive_glob(pattern, text)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_text_is_answered_without_panic_and_never_allowed(text in ".{0,80}") {
        prop_assert_ne!(evaluate(Some(&text), &request()).decision, Decision::Allowed);
    }

    #[test]
    fn certain_deny_wins_over_all_other_statements(
        mut statements in prop::collection::vec(statement(), 0..5),
        at in any::<prop::sample::Index>(),
    ) {
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"});
        statements.insert(at.index(statements.len() + 1), deny);
        prop_assert_eq!(decision(&statements), Decision::Denied);
    }

    #[test]
    fn certain_allow_never_leaves_a_denial_without_a_deny_statement(
        mut statements in prop::collection::vec(statement(), 0..5),
    ) {
        let allow = json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": QUEUE});
        statements.push(allow);
        let has_deny = statements.iter().any(|statement| statement["Effect"] == "Deny");
        prop_assert!(has_deny || decision(&statements) != Decision::Denied);
    }

    #[test]
    fn order_of_statements_changes_no_answer(
        statements in prop::collection::vec(statement(), 0..5),
    ) {
        let reversed: Vec<Value> = statements.iter().rev().cloned().collect();
        prop_assert_eq!(decision(&statements), decision(&reversed));
    }

    #[test]
    fn further_allow_statement_never_turns_allowed_into_another_answer(
        statements in prop::collection::vec(statement(), 0..5),
        mut more in statement(),
    ) {
        more["Effect"] = json!("Allow");
        let before = decision(&statements);
        let after = decision(&[statements, vec![more]].concat());
        prop_assert!(before != Decision::Allowed || after == Decision::Allowed);
    }

    #[test]
    fn an_unknown_value_never_contradicts_a_known_one(
        statements in prop::collection::vec(statement(), 0..5),
        kept in 0..=TOPIC.len(),
    ) {
        let known = decision(&statements);
        let mut request = request();
        let start: String = TOPIC.chars().take(kept).collect();
        request.context.insert("aws:sourcearn", RequestValue::Prefix(start));
        let policy = json!({"Statement": statements}).to_string();
        let open = evaluate(Some(&policy), &request).decision;
        prop_assert!(open == known || open == Decision::Undecided || known == Decision::Undecided, "{open:?} {known:?}");
    }

    #[test]
    fn glob_equals_recursive_reference_glob(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = Match::from(recursive_glob(&chars(&pattern), &chars(&text)));
        prop_assert_eq!(pattern::glob_value(&pattern, &RequestValue::Exact(text)), expected);
    }

    #[test]
    fn glob_of_a_start_is_right_for_every_rest(
        pattern in "[ab*?]{0,8}", start in "[ab]{0,4}", rest in "[ab]{0,6}",
    ) {
        let whole = pattern::glob_value(&pattern, &RequestValue::Exact(format!("{start}{rest}")));
        let open = pattern::glob_value(&pattern, &RequestValue::Prefix(start));
        prop_assert!(open == Match::Maybe || open == whole, "{open:?} {whole:?}");
    }
}

/// Statements and decisions, made by hand from the IAM user guide.
#[test]
fn evaluate_decides_examples_of_the_iam_guide() {
    let allow = |condition: Value| {
        json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": condition})
    };
    let insecure = json!({"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    let cases = [
        (allow(json!({"ArnEquals": {"aws:SourceArn": TOPIC}})), Decision::Allowed),
        (
            allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:bounces"}})),
            Decision::Allowed,
        ),
        (allow(json!({"StringLike": {"AWS:SourceArn": "arn:aws:sns:*"}})), Decision::Allowed),
        // an ARN pattern with too few components
        (allow(json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*"}})), Decision::Undecided),
        (allow(json!({"StringEquals": {"aws:SourceArn": "arn:aws:sns:*"}})), Decision::Denied),
        (allow(json!({"StringEquals": {"aws:SourceAccount": "210987654321"}})), Decision::Denied),
        (allow(json!({"StringEquals": {"aws:SourceOwner": "123456789012"}})), Decision::Undecided),
        (allow(json!({"StringNotEquals": {"aws:SourceArn": [TOPIC, "x"]}})), Decision::Denied),
        (allow(json!({"StringEqualsIfExists": {"aws:SourceArn": TOPIC}})), Decision::Allowed),
        (allow(json!({"Null": {"aws:SourceArn": "false"}})), Decision::Allowed),
        // a value of an unexpected form
        (allow(json!({"StringEquals": {"aws:SourceArn": {}}})), Decision::Undecided),
        (allow(json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}})), Decision::Undecided),
    ];
    for (statement, expected) in cases {
        assert_eq!(decision(&[statement.clone(), insecure.clone()]), expected, "{statement}");
    }
    assert_eq!(evaluate(None, &request()).decision, Decision::Denied);
    // a star that spans components of an ARN
    let spanning = RequestValue::Exact("arn:aws:sns:eu-1:12:b:c".to_owned());
    assert_eq!(pattern::arn("arn:aws:s*1:12:b:*", &spanning), Match::Maybe);
    assert_eq!(pattern::arn("arn:aws:s*:eu-1:12:*", &spanning), Match::Yes);
    // the default policy of a queue: the owner
    let owner = json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "SQS:*", "Resource": QUEUE});
    assert_eq!(decision(&[owner]), Decision::Denied);
    let not_principal = json!({"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::1:root"},
        "Action": "sqs:*", "Resource": "*"});
    assert_eq!(decision(&[not_principal]), Decision::Undecided);
}
