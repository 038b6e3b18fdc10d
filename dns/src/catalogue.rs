//! All kinds of findings: id, usual level, source.

use crate::finding::{FindingKind, FindingLevel};

macro_rules! kinds {
    ($( $name:ident = $level:ident, $id:literal, $source:expr; )*) => {
        $( pub(crate) const $name: FindingKind =
            FindingKind { id: $id, level: FindingLevel::$level, source: $source }; )*
        /// All kinds of findings.
        pub const FINDING_KINDS: &[FindingKind] = &[$( $name ),*];
    };
}

const SES_MAIL_FROM: &str = "https://docs.aws.amazon.com/ses/latest/dg/mail-from.html";
const SES_EASY_DKIM: &str =
    "https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-easy.html";
const SES_BYODKIM: &str =
    "https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dkim-bring-your-own.html";
const SES_SPF: &str =
    "https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-spf.html";
const SES_DMARC: &str =
    "https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dmarc.html";
/// The page of AWS about the records of a WorkMail domain.
pub(crate) const WORKMAIL: &str =
    "https://docs.aws.amazon.com/workmail/latest/adminguide/domains_overview.html";
const WORKMAIL_DOMAIN: &str =
    "https://docs.aws.amazon.com/workmail/latest/APIReference/API_GetMailDomain.html";
/// The page of Microsoft about the records of a domain.
pub(crate) const EXCHANGE: &str =
    "https://learn.microsoft.com/microsoft-365/enterprise/external-domain-name-system-records";
const GMAIL: &str = "https://support.google.com/a/answer/81126";
const YAHOO: &str = "https://senders.yahooinc.com/best-practices/";
const MICROSOFT: &str = "https://techcommunity.microsoft.com/blog/microsoftdefenderforoffice365blog/strengthening-email-ecosystem-outlook%E2%80%99s-new-requirements-for-high%E2%80%90volume-senders/4399730";

kinds! {
    FROM_NULL_MX = Warning, "dns.from_null_mx", "RFC 7505, section 4.2";
    FROM_NO_HOST = Warning, "dns.from_no_host", MICROSOFT;
    FROM_LOOKUP_FAILED = Unknown, "dns.from_lookup_failed", MICROSOFT;

    SPF_OK = Ok, "dns.spf_ok", "RFC 7208";
    SPF_MISSING = Note, "dns.spf_missing", "RFC 7208, section 4.5";
    SPF_NOT_RECOGNISED = Warning, "dns.spf_not_recognised", "RFC 7208, section 4.5";
    SPF_TWO_RECORDS = Critical, "dns.spf_two_records", "RFC 7208, section 4.5";
    SPF_SYNTAX = Critical, "dns.spf_syntax", "RFC 7208, section 4.6";
    SPF_STRINGS_JOINED = Critical, "dns.spf_strings_joined", "RFC 7208, section 3.3";
    SPF_TERMS_AFTER_ALL = Warning, "dns.spf_terms_after_all", "RFC 7208, section 5.1";
    SPF_REDIRECT_IGNORED = Warning, "dns.spf_redirect_ignored", "RFC 7208, section 6.1";
    SPF_PTR = Warning, "dns.spf_ptr", "RFC 7208, section 5.5";
    SPF_PASS_ALL = Critical, "dns.spf_pass_all", "RFC 7208, section 5.1";
    SPF_NO_ALL = Warning, "dns.spf_no_all", "RFC 7208, section 4.7";
    SPF_NEUTRAL_ALL = Note, "dns.spf_neutral_all", "RFC 7208, section 8.2";
    SPF_DUPLICATE_TERM = Note, "dns.spf_duplicate_term", "RFC 7208, section 4.6.4";
    SPF_UNKNOWN_MODIFIER = Note, "dns.spf_unknown_modifier", "RFC 7208, section 6";
    SPF_MACRO = Note, "dns.spf_macro", "RFC 7208, section 7";
    SPF_TOO_MANY_LOOKUPS = Critical, "dns.spf_too_many_lookups", "RFC 7208, section 4.6.4";
    SPF_LOOKUPS_NEAR_LIMIT = Note, "dns.spf_lookups_near_limit", "RFC 7208, section 4.6.4";
    SPF_VOID_LOOKUPS = Critical, "dns.spf_void_lookups", "RFC 7208, section 4.6.4";
    SPF_TOO_MANY_EXCHANGERS = Critical, "dns.spf_too_many_exchangers", "RFC 7208, section 4.6.4";
    SPF_INCLUDE_BROKEN = Critical, "dns.spf_include_broken", "RFC 7208, section 5.2";
    SPF_LOOP = Critical, "dns.spf_loop", "RFC 7208, section 4.6.4";
    SPF_LONG = Note, "dns.spf_long", "RFC 7208, section 3.4";
    SPF_LOOKUP_FAILED = Unknown, "dns.spf_lookup_failed", "RFC 7208, section 4.4";
    SPF_HOST_PASSES = Ok, "dns.spf_host_passes", "RFC 7208, section 2.6";
    SPF_HOST_NOT_PERMITTED = Critical, "dns.spf_host_not_permitted", "RFC 7208, section 2.6";
    SPF_HOST_UNKNOWN = Unknown, "dns.spf_host_unknown", "RFC 7208, section 2.6.6";
    SPF_WITHOUT_SES = Note, "dns.spf_without_ses", SES_SPF;

    DMARC_OK = Ok, "dns.dmarc_ok", "RFC 9989";
    DMARC_MISSING = Warning, "dns.dmarc_missing", "RFC 9989, section 4.10";
    DMARC_NOT_RECOGNISED = Critical, "dns.dmarc_not_recognised", "RFC 9989, section 4.7";
    DMARC_TWO_RECORDS = Critical, "dns.dmarc_two_records", "RFC 9989, section 4.10";
    DMARC_WITHOUT_POLICY = Critical, "dns.dmarc_without_policy", "RFC 9989, section 4.7";
    DMARC_INVALID_TAG = Warning, "dns.dmarc_invalid_tag", "RFC 9989, section 4.7";
    DMARC_DUPLICATE_TAG = Warning, "dns.dmarc_duplicate_tag", "RFC 9989, section 4.7";
    DMARC_REMOVED_TAG = Note, "dns.dmarc_removed_tag", "RFC 9989, section 4.7";
    DMARC_UNKNOWN_TAG = Note, "dns.dmarc_unknown_tag", "RFC 9989, section 4.7";
    DMARC_POLICY_NONE = Note, "dns.dmarc_policy_none", "RFC 9989, section 4.7";
    DMARC_TESTING = Note, "dns.dmarc_testing", "RFC 9989, section 4.7";
    DMARC_NO_REPORTS = Note, "dns.dmarc_no_reports", "RFC 9990";
    DMARC_REPORTS_REFUSED = Warning, "dns.dmarc_reports_refused", "RFC 9990, section 4";
    DMARC_LOOKUP_FAILED = Unknown, "dns.dmarc_lookup_failed", "RFC 9989, section 4.10";

    DKIM_OK = Ok, "dns.dkim_ok", SES_EASY_DKIM;
    DKIM_CNAME_MISSING = Critical, "dns.dkim_cname_missing", SES_EASY_DKIM;
    DKIM_CNAME_WRONG = Critical, "dns.dkim_cname_wrong", SES_EASY_DKIM;
    DKIM_CNAME_FLATTENED = Warning, "dns.dkim_cname_flattened", SES_EASY_DKIM;
    DKIM_NAME_DOUBLED = Critical, "dns.dkim_name_doubled", SES_EASY_DKIM;
    DKIM_TARGET_WITHOUT_KEY = Critical, "dns.dkim_target_without_key", SES_EASY_DKIM;
    DKIM_KEY_MISSING = Critical, "dns.dkim_key_missing", SES_BYODKIM;
    DKIM_TWO_KEYS = Critical, "dns.dkim_two_keys", "RFC 6376, section 3.6.2.2";
    DKIM_KEY_INVALID = Critical, "dns.dkim_key_invalid", "RFC 6376, section 3.6.1";
    DKIM_KEY_REVOKED = Critical, "dns.dkim_key_revoked", "RFC 6376, section 3.6.1";
    DKIM_KEY_TOO_SHORT = Critical, "dns.dkim_key_too_short", "RFC 8301, section 3.2";
    DKIM_KEY_1024 = Note, "dns.dkim_key_1024", "RFC 8301, section 3.2";
    DKIM_TESTING = Note, "dns.dkim_testing", "RFC 6376, section 3.6.1";
    DKIM_SIGNING_OFF = Critical, "dns.dkim_signing_off", SES_EASY_DKIM;
    DKIM_LOOKUP_FAILED = Unknown, "dns.dkim_lookup_failed", SES_EASY_DKIM;

    MAIL_FROM_OK = Ok, "dns.mail_from_ok", SES_MAIL_FROM;
    MAIL_FROM_DEFAULT = Note, "dns.mail_from_default", SES_MAIL_FROM;
    MAIL_FROM_NOT_SUBDOMAIN = Note, "dns.mail_from_not_subdomain", SES_MAIL_FROM;
    MAIL_FROM_MX_MISSING = Critical, "dns.mail_from_mx_missing", SES_MAIL_FROM;
    MAIL_FROM_NAME_DOUBLED = Critical, "dns.mail_from_name_doubled", SES_MAIL_FROM;
    MAIL_FROM_MX_SUFFIX = Critical, "dns.mail_from_mx_suffix", SES_MAIL_FROM;
    MAIL_FROM_MX_REGION = Critical, "dns.mail_from_mx_region", SES_MAIL_FROM;
    MAIL_FROM_MX_OTHER = Critical, "dns.mail_from_mx_other", SES_MAIL_FROM;
    MAIL_FROM_SECOND_MX = Critical, "dns.mail_from_second_mx", SES_MAIL_FROM;
    MAIL_FROM_MX_ON_APEX = Critical, "dns.mail_from_mx_on_apex", SES_MAIL_FROM;
    MAIL_FROM_SPF = Critical, "dns.mail_from_spf", SES_MAIL_FROM;
    MAIL_FROM_LOOKUP_FAILED = Unknown, "dns.mail_from_lookup_failed", SES_MAIL_FROM;

    ALIGNMENT_OK = Ok, "dns.alignment_ok", SES_DMARC;
    ALIGNMENT_NONE = Critical, "dns.alignment_none", SES_DMARC;
    ALIGNMENT_ONE = Note, "dns.alignment_one", SES_DMARC;
    ALIGNMENT_SPF_STRICT = Note, "dns.alignment_spf_strict", "RFC 9989, section 4.4";
    ALIGNMENT_DKIM_STRICT = Warning, "dns.alignment_dkim_strict", "RFC 9989, section 4.4";
    ALIGNMENT_UNKNOWN = Unknown, "dns.alignment_unknown", SES_DMARC;

    INBOUND_OK = Ok, "dns.inbound_ok", WORKMAIL;
    INBOUND_MX_MISSING = Critical, "dns.inbound_mx_missing", WORKMAIL;
    INBOUND_MX_REGION = Critical, "dns.inbound_mx_region", WORKMAIL;
    INBOUND_MX_SUFFIX = Critical, "dns.inbound_mx_suffix", WORKMAIL;
    INBOUND_MX_FIRST = Critical, "dns.inbound_mx_first", WORKMAIL;
    INBOUND_MX_OTHER = Warning, "dns.inbound_mx_other", WORKMAIL;
    INBOUND_SPF = Warning, "dns.inbound_spf", EXCHANGE;
    INBOUND_AUTODISCOVER = Note, "dns.inbound_autodiscover", EXCHANGE;
    INBOUND_LOOKUP_FAILED = Unknown, "dns.inbound_lookup_failed", WORKMAIL;

    RECIPIENT_OK = Ok, "dns.recipient_ok", "RFC 5321, section 5.1";
    RECIPIENT_INVALID = Critical, "dns.recipient_invalid", "RFC 5321, section 4.1.2";
    RECIPIENT_NO_DOMAIN = Critical, "dns.recipient_no_domain", "RFC 5321, section 5.1";
    RECIPIENT_TYPO = Warning, "dns.recipient_typo", "RFC 5321, section 5.1";
    RECIPIENT_NO_HOST = Critical, "dns.recipient_no_host", "RFC 5321, section 5.1";
    RECIPIENT_IMPLICIT_MX = Warning, "dns.recipient_implicit_mx", "RFC 5321, section 5.1";
    RECIPIENT_NULL_MX = Critical, "dns.recipient_null_mx", "RFC 7505, section 3";
    RECIPIENT_NULL_MX_MIXED = Warning, "dns.recipient_null_mx_mixed", "RFC 7505, section 3";
    RECIPIENT_MX_ALIAS = Warning, "dns.recipient_mx_alias", "RFC 2181, section 10.3";
    RECIPIENT_MX_ADDRESS = Warning, "dns.recipient_mx_address", "RFC 1035, section 3.3.9";
    RECIPIENT_MX_UNRESOLVED = Warning, "dns.recipient_mx_unresolved", "RFC 5321, section 5.1";
    RECIPIENT_MX_PRIVATE = Critical, "dns.recipient_mx_private", "RFC 6890";
    RECIPIENT_LOOKUP_FAILED = Unknown, "dns.recipient_lookup_failed", "RFC 5321, section 5.1";

    PTR_OK = Ok, "dns.ptr_ok", GMAIL;
    PTR_MISSING = Critical, "dns.ptr_missing", GMAIL;
    PTR_MISMATCH = Critical, "dns.ptr_mismatch", GMAIL;
    PTR_PRIVATE = Critical, "dns.ptr_private", "RFC 6890";
    PTR_LOOKUP_FAILED = Unknown, "dns.ptr_lookup_failed", GMAIL;
    RELAY_IPV6 = Note, "dns.relay_ipv6", "https://docs.aws.amazon.com/ses/latest/dg/dedicated-ip.html";

    MTA_STS = Note, "dns.mta_sts", "RFC 8461, section 3.1";
    MTA_STS_INVALID = Warning, "dns.mta_sts_invalid", "RFC 8461, section 3.1";
    TLS_RPT = Note, "dns.tls_rpt", "RFC 8460, section 3";
    TLS_RPT_INVALID = Warning, "dns.tls_rpt_invalid", "RFC 8460, section 3";

    RECORD_OK = Ok, "dns.record_ok", WORKMAIL_DOMAIN;
    RECORD_MISSING = Warning, "dns.record_missing", WORKMAIL_DOMAIN;
    RECORD_NAME_DOUBLED = Warning, "dns.record_name_doubled", WORKMAIL_DOMAIN;
    RECORD_DIFFERS = Warning, "dns.record_differs", WORKMAIL_DOMAIN;
    RECORD_LOOKUP_FAILED = Unknown, "dns.record_lookup_failed", WORKMAIL_DOMAIN;

    BULK_GMAIL = Ok, "dns.bulk_gmail", GMAIL;
    BULK_YAHOO = Ok, "dns.bulk_yahoo", YAHOO;
    BULK_MICROSOFT = Ok, "dns.bulk_microsoft", MICROSOFT;
}
