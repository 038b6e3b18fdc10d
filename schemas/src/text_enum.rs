//! The macro [`text_enum!`]: an enum with one fixed text for each variant, as stored in the tables.

/// Declares an enum of unit variants, each with its text. Adds `ALL`, `as_str` and `parse`.
///
/// ```text
/// text_enum! {
///     /// The service that reported an event.
///     Service {
///         /// Amazon SES.
///         Ses = "ses",
///         /// Amazon WorkMail.
///         WorkMail = "workmail",
///     }
/// }
/// assert_eq!(Service::Ses.as_str(), "ses");
/// assert_eq!(Service::parse("workmail"), Some(Service::WorkMail));
/// ```
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),* }

        impl $name {
            /// All variants, in order of declaration.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// The text in the tables.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text ),* }
            }

            /// The variant with this text; `None` if there is none. Case matters.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $( $text => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}
